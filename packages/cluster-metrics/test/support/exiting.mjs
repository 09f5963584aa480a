// A worker that counts one act and exits, in the way that it is told.
import { parentPort, Worker } from 'node:worker_threads';
import { Counter, Gauge, Histogram, openStore, Summary, WorkerRegistry } from '@techcommerce/cluster-metrics';

const [directory, way] = process.argv.slice(2);

// Before the store is opened, and so before its own.
if (way === 'in an older exit handler') process.on('exit', () => act());
if (way === 'in an older exit handler that exits') {
  process.on('exit', () => {
    act();
    process.exit();
  });
}

const [store, closed] = ['1', '2'].map((worker) => openStore({ directory, worker }));
const common = { help: 'help', labelNames: ['way'], registers: [new WorkerRegistry(store)] };
const acts = new Counter({ ...common, name: 'acts_total' });
const lazy = new Counter({ ...common, name: 'lazy_total', lazy: true });
const size = new Histogram({ ...common, name: 'size_bytes' });
const took = new Summary({ ...common, name: 'took_seconds', lazy: true });
const inClosed = new Gauge({ help: 'help', name: 'closed', registers: [new WorkerRegistry(closed)] });
store.flush();

function act() {
  lazy.inc({ way });
  took.observe({ way }, 0.25);
  size.observe({ way }, 7);
  acts.inc({ way });
}

function startThread(way) {
  return new Worker(new URL(import.meta.url), { argv: [directory, way] });
}

const ways = {
  'by process.exit'() {
    act();
    process.exit();
  },
  'by an exception'() {
    act();
    throw new Error('a bug');
  },
  'by an unhandled rejection'() {
    process.nextTick(act);
    void Promise.reject(new Error('a bug'));
  },
  'in an exit handler'() {
    process.on('exit', act);
  },
  'in an exit handler, after process.exit'() {
    process.on('exit', act);
    process.exit(1);
  },
  'in an older exit handler'() {},
  'in an older exit handler that exits'() {},
  'in a handler of uncaught exceptions'() {
    process.on('uncaughtException', () => {
      act();
      process.exit(1);
    });
    throw new Error('a bug');
  },
  'in a monitor of uncaught exceptions'() {
    process.on('uncaughtExceptionMonitor', act);
    throw new Error('a bug');
  },
  'in a signal handler'() {
    setInterval(() => {}, 1000);
    process.on('SIGTERM', () => {
      act();
      process.exit();
    });
    process.kill(process.pid, 'SIGTERM');
  },
  'at the natural end, lazily'() {
    lazy.inc({ way });
    took.observe({ way }, 0.25);
  },
  'before the natural end'() {
    process.once('beforeExit', act);
  },
  'lazily in an exit handler'() {
    process.on('exit', () => {
      lazy.inc({ way });
      took.observe({ way }, 0.25);
    });
  },
  'in several stores'() {
    const other = openStore({ directory, worker: '3' });
    new Gauge({ help: 'help', name: 'other', registers: [new WorkerRegistry(other)] }).set(1);
    act();
    process.exit();
  },
  'with a store that was closed'() {
    closed.close();
    process.on('exit', () => {
      inClosed.set(1);
      act();
    });
  },
  'in a worker thread'() {
    startThread('by process.exit');
  },
  'in a worker thread that is terminated'() {
    const thread = startThread('and waits');
    thread.once('message', () => thread.terminate());
  },
  'in a worker thread whose process exits'() {
    startThread('and waits').once('message', () => process.exit());
  },
  async 'and waits'() {
    act();
    // The turn ends, and is written with its lazy changes.
    await null;
    parentPort.postMessage('counted');
    setInterval(() => {}, 1000);
  },
};
ways[way]();
