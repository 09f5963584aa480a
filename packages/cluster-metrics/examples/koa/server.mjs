// Koa with one middleware that times every request. The metrics have a Koa application of their own in the primary.
import cluster from 'node:cluster';
import * as metrics from '@techcommerce/cluster-metrics';
import Koa from 'koa';

const { PORT = 8080, METRICS_PORT = 9464, PLACE, STORES } = process.env;
const app = new Koa();

if (cluster.isPrimary) {
  const stores = metrics.createStoreDirectory({ name: 'koa' });
  const showMetrics = metrics.createMetricsHandler(new metrics.ClusterRegistry({ directory: stores.path }));
  const start = (place) => cluster.fork({ PLACE: place, STORES: stores.path }).once('exit', () => start(place));
  for (const place of [1, 2, 3, 4]) start(place);
  app.use((ctx) => {
    ctx.respond = false;
    return showMetrics(ctx.req, ctx.res);
  });
  app.listen(METRICS_PORT);
} else {
  const registers = [new metrics.WorkerRegistry(metrics.openStore({ directory: STORES, worker: PLACE }))];
  metrics.collectDefaults(registers[0]);
  const duration = new metrics.Histogram({
    name: 'http_request_duration_seconds',
    help: 'Seconds',
    labelNames: ['method', 'status_code'],
    registers,
  });

  app.use(async function timeRequests(ctx, next) {
    const stop = duration.startTimer({ method: ctx.method });
    try {
      await next();
    } finally {
      // Written at the end of this turn; Koa answers later, so no flush is needed.
      stop({ status_code: ctx.status });
    }
  });
  app.use((ctx) => {
    ctx.body = `hello from ${process.pid}\n`;
  });
  app.listen(PORT);
}
