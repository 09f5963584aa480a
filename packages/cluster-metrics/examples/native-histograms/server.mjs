// Four workers of node:cluster, and a duration with native buckets, start timestamps and exemplars.
import cluster from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import * as metrics from '@techcommerce/cluster-metrics';

const { PORT = 8080, METRICS_PORT = 9464, PLACE, STORES } = process.env;

if (cluster.isPrimary) {
  const stores = metrics.createStoreDirectory({ name: 'native_histograms' });
  const registry = new metrics.ClusterRegistry({ directory: stores.path });
  const start = (place) => cluster.fork({ PLACE: place, STORES: stores.path }).once('exit', () => start(place));
  for (const place of [1, 2, 3, 4]) start(place);
  // Start timestamps: always in protobuf, which Prometheus asks for; with this in OpenMetrics too.
  createServer(metrics.createMetricsHandler(registry, { createdSamples: true })).listen(METRICS_PORT);
} else {
  const store = metrics.openStore({ directory: STORES, worker: PLACE });
  const registers = [new metrics.WorkerRegistry(store)];
  metrics.collectDefaults(registers[0]);
  // Native buckets beside the classic ones: `histogram_quantile(0.95, sum(rate(page_seconds[5m])))` is that of a whole fleet.
  const help = 'Seconds from a request to its answer';
  const duration = new metrics.Histogram({
    name: 'page_seconds',
    help,
    native: true,
    enableExemplars: true,
    registers,
  });

  createServer((_request, response) => {
    const began = performance.now();
    const id = randomUUID();
    // The exemplar leads from a bucket to one request: log its id, too.
    duration.observe({}, (performance.now() - began) / 1000, { request_id: id });
    store.flush();
    response.setHeader('X-Request-Id', id).end(`hello from ${process.pid}\n`);
  }).listen(PORT);
}
