// Fastify 5: requests are counted in `onSend`, before the answer leaves; `onResponse` runs when the client has it already.
import cluster from 'node:cluster';
import * as metrics from '@techcommerce/cluster-metrics';
import Fastify from 'fastify';

const { PORT = 8080, METRICS_PORT = 9464, PLACE, STORES } = process.env;
const app = Fastify();

if (cluster.isPrimary) {
  const stores = metrics.createStoreDirectory({ name: 'fastify' });
  const showMetrics = metrics.createMetricsHandler(new metrics.ClusterRegistry({ directory: stores.path }));
  const start = (place) => cluster.fork({ PLACE: place, STORES: stores.path }).once('exit', () => start(place));
  for (const place of [1, 2, 3, 4]) start(place);
  app.get('/metrics', (request, reply) => {
    reply.hijack();
    return showMetrics(request.raw, reply.raw);
  });
  await app.listen({ port: METRICS_PORT });
} else {
  const registers = [new metrics.WorkerRegistry(metrics.openStore({ directory: STORES, worker: PLACE }))];
  metrics.collectDefaults(registers[0]);
  const labelNames = ['method', 'route', 'status_code'];
  const requests = new metrics.Counter({ name: 'http_requests_total', help: 'Requests', labelNames, registers });

  app.addHook('onSend', async function countRequests(request, reply) {
    const route = request.routeOptions.url ?? 'unmatched';
    // Written at the end of this turn; Fastify waits for the promise of this hook, so no flush is needed.
    requests.inc({ method: request.method, route, status_code: reply.statusCode });
  });
  app.get('/hello/:name', async (request) => `hello ${request.params.name} from ${process.pid}\n`);
  await app.listen({ port: PORT });
}
