// Express 5: a request is counted when the head of its answer is about to leave, its status and route known by then.
import cluster from 'node:cluster';
import * as metrics from '@techcommerce/cluster-metrics';
import express from 'express';

const { PORT = 8080, METRICS_PORT = 9464, PLACE, STORES } = process.env;
const app = express();

if (cluster.isPrimary) {
  const stores = metrics.createStoreDirectory({ name: 'express' });
  const registry = new metrics.ClusterRegistry({ directory: stores.path });
  const start = (place) => cluster.fork({ PLACE: place, STORES: stores.path }).once('exit', () => start(place));
  for (const place of [1, 2, 3, 4]) start(place);
  app.get('/metrics', metrics.createMetricsHandler(registry)).listen(METRICS_PORT);
} else {
  const store = metrics.openStore({ directory: STORES, worker: PLACE });
  const registers = [new metrics.WorkerRegistry(store)];
  metrics.collectDefaults(registers[0]);
  const labelNames = ['method', 'route', 'status_code'];
  const requests = new metrics.Counter({ name: 'http_requests_total', help: 'Requests', labelNames, registers });

  app.use(function countRequests(request, response, next) {
    const { writeHead } = response;
    // `finish` would be too late: the client has its answer then, and this process may be dead before it has counted.
    response.writeHead = function countAndWriteHead(status, ...rest) {
      const route = request.route?.path ?? 'unmatched';
      requests.inc({ method: request.method, route, status_code: status });
      store.flush();
      return writeHead.call(response, status, ...rest);
    };
    next();
  });
  app.get('/hello/:name', (request, response) => {
    response.send(`hello ${request.params.name} from ${process.pid}\n`);
  });
  app.listen(PORT);
}
