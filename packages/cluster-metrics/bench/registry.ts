/*
 * Compares the cost of this registry with prom-client and its successor: `npm run bench:registry`, `-- --quick` for a
 * short run. Measurements run in sequence, each in its own processes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, cpus } from 'node:os';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatSpread, ratioSpread, spreadOf } from '../../../bench/statistics.ts';
import { load, MECHANISMS, type Mechanism } from '../workload/mechanism.ts';
import { type Costs, costsOfObserve, costsOfOurs, costsOfPeer } from './instruments.ts';
import type { StoreMemory } from './memory.ts';
import type { FormCost, Measurement } from './primary.ts';
import { number, printTable } from './table.ts';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workers: { type: 'string' },
    samples: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log('npm run bench:registry [-- [--quick] [--workers=1,2,8,64] [--samples=100,1000,5000]]');
  process.exit();
}
const plan = options.quick
  ? { workers: [2, 8], samples: [1_000], seconds: 1, rounds: 30 }
  : { workers: [1, 2, 8, 64], samples: [100, 1_000, 5_000], seconds: 3, rounds: 200 };
if (options.workers) plan.workers = options.workers.split(',').map(Number);
if (options.samples) plan.samples = options.samples.split(',').map(Number);

const installed: Mechanism[] = [];
for (const mechanism of MECHANISMS) if ((await load(mechanism)) !== null) installed.push(mechanism);
const names: Record<Mechanism, string> = {
  stock: 'prom-client 15.1.3',
  ours: 'ours',
  successor: '@prometheus-io/client',
};

console.log(
  `Node.js ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model}; ratios are stock / ours`,
);
if (!installed.includes('successor')) {
  console.log('The successor is left out: it needs Node.js 22 and npm install --no-save @prometheus-io/client@0.16.1');
}
await printInstruments();
await printNativeCosts();
await printScrapes();

async function printInstruments(): Promise<void> {
  const costs = new Map<Mechanism, Costs>();
  for (const mechanism of installed) {
    const loaded = await load(mechanism);
    if (loaded === null) continue;
    const measure = mechanism === 'ours' ? costsOfOurs : costsOfPeer;
    costs.set(mechanism, measure(loaded, plan.rounds));
  }
  const rows = Object.keys(costs.get('ours') ?? {}).map((what) => [
    what === 'one request' ? 'all metrics of one request (ours: crash-safe writes included)' : what,
    ...installed.map((mechanism) => number(costs.get(mechanism)?.[what])),
    ratio(costs.get('stock')?.[what], costs.get('ours')?.[what]),
  ]);
  printTable('Cost of a call, nanoseconds', ['call', ...installed.map((each) => names[each]), 'ratio'], rows);
}

/** What native buckets cost a worker, and its memory in the primary. */
async function printNativeCosts(): Promise<void> {
  const observe = costsOfObserve(plan.rounds);
  const rows = [['Histogram.observe, nanoseconds', ...compared(observe.classic, observe.native)]];
  for (const samples of plan.samples) {
    const memoryOf = async (buckets: string): Promise<StoreMemory> =>
      JSON.parse(await run(['./memory.js', String(samples), buckets]));
    const [classic, native] = [await memoryOf('classic'), await memoryOf('native')];
    const row = (what: string, key: keyof StoreMemory) => [
      `store of ${samples} samples: ${what}, KiB`,
      ...compared(classic[key] / 1024, native[key] / 1024),
    ];
    rows.push(
      row('file in shared memory', 'file'),
      row('memory in use in the worker', 'worker'),
      row("worker's resident memory", 'workerResident'),
      row('memory in use in the primary', 'primary'),
      row("primary's resident memory", 'primaryResident'),
    );
  }
  printTable('Cost of native histograms to a worker', ['', 'classic alone', 'with native', 'ratio'], rows);
}

function compared(classic: number, native: number): string[] {
  return [number(classic), number(native), number(native / classic)];
}

async function printScrapes(): Promise<void> {
  for (const samples of plan.samples) {
    for (const workers of plan.workers) {
      const results = new Map<Mechanism, Measurement>();
      for (const mechanism of installed) results.set(mechanism, await measure(mechanism, workers, samples));
      const row = (what: string, key: Exclude<keyof Measurement, 'forms'>) => [
        what,
        ...installed.map((mechanism) => number(results.get(mechanism)?.[key])),
        ratio(results.get('stock')?.[key], results.get('ours')?.[key]),
      ];
      printTable(
        `A scrape of ${workers} workers × ${samples} samples`,
        ['', ...installed.map((each) => names[each]), 'ratio'],
        [
          row('time to answer, ms', 'answerMs'),
          row('processor time of the primary, ms', 'processorMs'),
          row("primary's event loop blocked at a stretch, ms", 'blockMs'),
          row('delay added to the p99 of requests, ms', 'addedDelayMs'),
          row("growth of the primary's memory, MiB", 'memoryMiB'),
          row('share of scrapes that failed', 'failed'),
        ],
      );
      const native = await measure('ours', workers, samples, 'native');
      printForms(`${workers} workers × ${samples} samples`, results.get('ours'), native);
    }
  }
}

/** @param native the same with native buckets */
function printForms(title: string, classic: Measurement | undefined, native: Measurement): void {
  const rows = [
    ['classic alone', classic],
    ['with native', native],
  ] as const;
  printTable(
    `Text and protobuf of ${title}: bytes, and processor time of the primary`,
    [
      'histograms',
      ...['text, ms', 'protobuf, ms', 'ratio'],
      ...['text', 'protobuf', 'text, gzip', 'protobuf, gzip'].map((form) => `${form}, bytes`),
    ],
    rows.flatMap(([histograms, measured]) => (measured?.forms ? [[histograms, ...formCells(measured.forms)]] : [])),
  );
}

function formCells({ text, protobuf }: Record<'text' | 'protobuf', FormCost>): string[] {
  return [
    formatSpread(spreadOf(text.processorMs)),
    formatSpread(spreadOf(protobuf.processorMs)),
    formatSpread(ratioSpread(text.processorMs, protobuf.processorMs, (ms) => ms)),
    ...[text.bytes, protobuf.bytes, text.gzipBytes, protobuf.gzipBytes].map(number),
  ];
}

async function measure(
  mechanism: Mechanism,
  workers: number,
  samples: number,
  buckets: 'classic' | 'native' = 'classic',
): Promise<Measurement> {
  const sizes = [workers, samples, plan.seconds].map(String);
  return JSON.parse(await run(['./primary.js', mechanism, ...sizes, buckets]));
}

/** Runs a script of this folder in a new process. @returns its output */
async function run([script = '', ...args]: string[]): Promise<string> {
  const path = fileURLToPath(import.meta.resolve(script));
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return output;
}

function ratio(stock: number | undefined, ours: number | undefined): string {
  return stock === undefined || ours === undefined || ours <= 0 ? '' : `${number(stock / ours)}×`;
}
