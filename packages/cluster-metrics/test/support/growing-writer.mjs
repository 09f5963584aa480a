// Creates one series after the other, writes each at once, and sends a message at the end.
import { Counter, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';

const [directory, series] = process.argv.slice(2);
const store = openStore({ directory, worker: '1' });
const counter = new Counter({
  name: 'n_total',
  help: 'help',
  labelNames: ['n'],
  registers: [new WorkerRegistry(store)],
});
for (let n = 0; n < Number(series); n++) {
  counter.inc({ n });
  store.flush();
}
process.send('done');
setInterval(() => {}, 1000);
