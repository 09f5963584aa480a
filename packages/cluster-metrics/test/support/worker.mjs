// Plain JavaScript on the built package: a test starts hundreds of these, and a compiler in each would take most of the
// time.
import { createServer } from 'node:http';
import * as ours from '@techcommerce/cluster-metrics';
import prom from 'prom-client';

/** The same metrics on either mechanism. */
function createMetrics() {
  if (process.env.MECHANISM === 'stock') {
    const registry = new prom.Registry();
    // The constructor begins to listen to the primary's messages.
    new prom.AggregatorRegistry();
    prom.AggregatorRegistry.setRegistries(registry);
    return { ...define(prom, registry, { ageBuckets: 5 }), flush() {} };
  }
  const store = ours.openStore({ directory: process.env.STORE_DIRECTORY, worker: process.env.PLACE });
  const registry = new ours.WorkerRegistry(store);
  const metrics = define(ours, registry, {});
  // As a shop does at its start: declared series are in the file before the first request.
  store.flush();
  return { ...metrics, flush: () => store.flush() };
}

function define({ Counter, Gauge, Histogram, Summary }, registry, summaryOptions) {
  const common = { help: 'help', registers: [registry] };
  const metrics = {
    acts: new Counter({ ...common, name: 'acts_total', labelNames: ['kind'] }),
    duration: new Histogram({ ...common, name: 'duration_seconds', labelNames: ['route'] }),
    wait: new Summary({
      ...common,
      ...summaryOptions,
      name: 'wait_seconds',
      labelNames: ['operation'],
      percentiles: [0.5, 0.9, 0.95, 0.99],
      maxAgeSeconds: 300,
    }),
    idle: new Summary({ ...common, ...summaryOptions, name: 'idle_seconds', percentiles: [0.99], maxAgeSeconds: 300 }),
    depth: new Gauge({ ...common, name: 'depth' }),
    peak: new Gauge({ ...common, name: 'peak', aggregator: 'max' }),
    place: new Gauge({ ...common, name: 'place', labelNames: ['worker'] }),
  };
  metrics.acts.inc({ kind: 'request' }, 0);
  metrics.place.set({ worker: process.env.PLACE }, 1);
  return metrics;
}

const metrics = createMetrics();

const commands = {
  observe({ acts = 0, waits = [], depth, peak, kind = 'request' }) {
    if (acts > 0) metrics.acts.inc({ kind }, acts);
    for (const wait of waits) metrics.wait.observe({ operation: 'select' }, wait);
    if (depth !== undefined) metrics.depth.set(depth);
    if (peak !== undefined) metrics.peak.set(peak);
  },
  remove({ kind }) {
    metrics.acts.remove({ kind });
  },
  /** A command of its own, because a message cannot carry NaN. */
  forget() {
    metrics.depth.set(Number.NaN);
  },
  hang() {
    process.send('done');
    for (;;);
  },
  crash() {
    setImmediate(() => {
      throw new Error('a bug');
    });
  },
  exhaustMemory() {
    const hoard = [];
    for (;;) hoard.push(new Array(100_000).fill(hoard.length));
  },
};

process.on('message', ({ command, ...argument }) => {
  if (command === undefined) return;
  commands[command](argument);
  // The answer leaves in this turn, before the microtask that would write.
  metrics.flush();
  process.send('done');
});
process.on('disconnect', () => process.exit());

/** Counts as a middleware does: in `finally`, before the framework sends the response. */
async function handle() {
  try {
    metrics.depth.inc();
    await null;
  } finally {
    metrics.depth.dec();
    metrics.acts.inc({ kind: 'request' });
    metrics.duration.observe({ route: '/' }, Math.random());
    metrics.wait.observe({ operation: 'select' }, Math.random());
  }
}

createServer((_request, response) => handle().then(() => response.end('counted')))
  .listen(Number(process.env.PORT ?? 0), '127.0.0.1')
  .on('error', () => process.exit(1));
