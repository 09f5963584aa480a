// A worker whose environment describes its metrics, so that it stands for other code. It adds COUNT to each.
import {
  Counter,
  collectDefaults,
  Gauge,
  Histogram,
  openStore,
  Summary,
  WorkerRegistry,
} from '@techcommerce/cluster-metrics';

const instruments = { Counter, Gauge, Histogram, Summary };
const { STORES, PLACE, CODE, COUNT } = process.env;
const store = openStore({ directory: STORES, worker: PLACE });
const registry = new WorkerRegistry(store);
for (const { type, ...options } of JSON.parse(CODE)) {
  if (type === 'Defaults') {
    collectDefaults(registry);
    continue;
  }
  const metric = new instruments[type]({ help: 'help', ...options, registers: [registry] });
  const labels = Object.fromEntries((options.labelNames ?? []).map((name) => [name, 'x']));
  if (type === 'Counter') metric.inc(labels, Number(COUNT));
  else if (type === 'Gauge') metric.set(labels, Number(COUNT));
  else for (let i = 0; i < Number(COUNT); i++) metric.observe(labels, 1);
}
store.flush();
process.send('ready');
setInterval(() => {}, 1000);
