// Observes once, with an exemplar, and waits until it is killed.
import { Histogram, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';

const [directory] = process.argv.slice(2);
const registers = [new WorkerRegistry(openStore({ directory, worker: 1 }))];
const size = new Histogram({ name: 'size', help: 'help', buckets: [1], enableExemplars: true, registers });
size.observe({ value: 0.5, exemplarLabels: { trace_id: 'a' } });
setInterval(() => {}, 60_000);
