// A process or a thread that opens a number of stores, each for the life of one worker, counts one act in each, and waits
// to be killed.
import { parentPort } from 'node:worker_threads';
import { Counter, Gauge, openStore, Summary, WorkerRegistry } from '@techcommerce/cluster-metrics';

const [directory, lives, places] = process.argv.slice(2);
for (let life = 0; life < Number(lives); life++) {
  const worker = String(1 + (life % Number(places)));
  const store = openStore({ directory, worker });
  const common = { help: 'help', registers: [new WorkerRegistry(store)] };
  new Counter({ ...common, name: 'acts_total' }).inc();
  new Gauge({ ...common, name: 'place', labelNames: ['worker'] }).set({ worker }, 1);
  new Summary({ ...common, name: 'took_seconds' }).observe(0.1);
  store.flush();
}
parentPort?.postMessage('ready');
process.send?.('ready');
setInterval(() => {}, 1000);
