// A thread for each piece of work. A thread that ends leaves its counts and nothing else: no series, no file.
import { createServer } from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import * as metrics from '@techcommerce/cluster-metrics';

const { PORT = 8080, METRICS_PORT = 9464 } = process.env;

if (isMainThread) {
  const stores = metrics.createStoreDirectory({ name: 'worker_threads' });
  const registry = new metrics.ClusterRegistry({ directory: stores.path });
  createServer(metrics.createMetricsHandler(registry)).listen(METRICS_PORT);

  createServer((_request, response) => {
    const thread = new Worker(new URL(import.meta.url), { workerData: stores.path });
    thread.once('message', (answer) => response.end(`${answer}\n`));
    thread.once('error', () => response.writeHead(500).end());
  }).listen(PORT);
} else {
  // All have one place: the label `worker` stays bounded, however many there were.
  const store = metrics.openStore({ directory: workerData, worker: 'thread' });
  const registers = [new metrics.WorkerRegistry(store)];
  const sums = new metrics.Counter({ name: 'sums_total', help: 'Sums computed', registers });
  const alive = new metrics.Gauge({ name: 'threads', help: 'Threads that live', registers });
  alive.set(1);

  let sum = 0;
  for (let i = 1; i <= 1e6; i++) sum += i;
  sums.inc();
  store.close();
  parentPort.postMessage(sum);
}
