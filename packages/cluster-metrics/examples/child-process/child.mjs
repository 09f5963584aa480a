import { Counter, collectDefaults, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';

const [directory, worker] = process.argv.slice(2);
const registers = [new WorkerRegistry(openStore({ directory, worker }))];
collectDefaults(registers[0]);
const jobs = new Counter({ name: 'jobs_total', help: 'Jobs done', registers });

process.on('message', () => {
  jobs.inc();
  // Sent a turn later, when the count is written: the parent hears of no job that is not counted.
  setImmediate(() => process.send('ready'));
});
process.on('disconnect', () => process.exit());
process.send('ready');
