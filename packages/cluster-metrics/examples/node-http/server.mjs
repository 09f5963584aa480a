// Four workers of node:cluster; each request is counted before its answer leaves.
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import * as metrics from '@techcommerce/cluster-metrics';

const { PORT = 8080, METRICS_PORT = 9464, PLACE, STORES } = process.env;

if (cluster.isPrimary) {
  const stores = metrics.createStoreDirectory({ name: 'node_http' });
  const registry = new metrics.ClusterRegistry({ directory: stores.path });
  const start = (place) => cluster.fork({ PLACE: place, STORES: stores.path }).once('exit', () => start(place));
  for (const place of [1, 2, 3, 4]) start(place);
  createServer(metrics.createMetricsHandler(registry)).listen(METRICS_PORT);
} else {
  const store = metrics.openStore({ directory: STORES, worker: PLACE });
  const registers = [new metrics.WorkerRegistry(store)];
  metrics.collectDefaults(registers[0]);
  const requests = new metrics.Counter({ name: 'requests_total', help: 'Requests answered', registers });

  createServer((_request, response) => {
    requests.inc();
    // The answer leaves in the same turn of the event loop, so it can't wait for the write that follows by itself.
    store.flush();
    response.end(`hello from ${process.pid}\n`);
  }).listen(PORT);
}
