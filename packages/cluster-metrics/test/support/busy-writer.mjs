// Adds to many counters and writes them without a pause until it is killed.
import { Counter, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';

const [directory, series, step] = process.argv.slice(2);
const store = openStore({ directory, worker: '1' });
const counter = new Counter({
  name: 'n_total',
  help: 'help',
  labelNames: ['n'],
  registers: [new WorkerRegistry(store)],
});
const all = Array.from({ length: Number(series) }, (_, n) => counter.labels(String(n)));
for (const each of all) each.inc(0);
store.flush();
process.send('ready');
for (;;) {
  for (const each of all) each.inc(Number(step));
  store.flush();
}
