// A worker whose files may not grow beyond `ulimit -f`, as on a full disk. It counts on command and reports its problems.
import { Counter, Histogram, openStore, Summary, WorkerRegistry } from '@techcommerce/cluster-metrics';

const [directory, capacity] = process.argv.slice(2);
const problems = [];
const store = openStore({
  directory,
  worker: '1',
  capacity: Number(capacity),
  onProblem: (problem) => problems.push(problem.code ?? problem.message),
});
const registers = [new WorkerRegistry(store)];
const early = new Counter({ name: 'early_total', help: 'help', labelNames: ['n'], registers });
early.inc({ n: 0 });
const took = new Summary({ name: 'took_seconds', help: 'help', registers });
took.observe(1);
// The store keeps room for a chunk of bins beside them.
const waited = new Summary({ name: 'waited_seconds', help: 'help', labelNames: ['n'], registers });
for (const n of [1, 2, 3]) waited.zero({ n });
store.flush();

process.on('message', async (command) => {
  if (command === 'grow') {
    for (let n = 1; n <= 300; n++) early.inc({ n });
    const late = new Histogram({ name: 'late_seconds', help: 'help', registers });
    for (let i = 0; i < 5; i++) late.observe(0.1);
  } else {
    early.inc({ n: 0 });
    took.observe(1);
    took.observe(1000);
    for (const n of [1, 2, 3]) waited.observe({ n }, 5);
  }
  await null;
  process.send({ problems, inMemory: (await registers[0].getMetricsAsJSON())[0].values[0].value });
});
process.send('ready');
