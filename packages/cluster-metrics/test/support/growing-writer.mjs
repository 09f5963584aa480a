// Makes one new series after the other, each written at once, and tells when it has made them all.
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
