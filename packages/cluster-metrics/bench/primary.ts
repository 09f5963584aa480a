/*
 * One measurement: `primary.js <mechanism> <workers> <samples> <seconds> [native]` forks the workers, scrapes, and prints
 * the results as JSON. With `native`, the histograms have native buckets too.
 */
import { fork } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { constants, gzipSync } from 'node:zlib';
import { interleave } from '../../../bench/statistics.ts';
import { ClusterRegistry, createStoreDirectory, openStore, WorkerRegistry } from '../src/index.ts';
import { type Loaded, load, type Mechanism } from '../workload/mechanism.ts';
import { declareMix } from '../workload/mix.ts';
import type { Timing } from './client.ts';

export interface Measurement {
  /** Milliseconds from the call until the text is there; medians. */
  answerMs: number;
  /** CPU time of the primary per scrape, milliseconds; median. Other processes do not change it. */
  processorMs: number;
  /** Longest single block of the primary's event loop in a scrape, milliseconds; median. */
  blockMs: number;
  /** 99th percentile of a request's time over a new connection, during scrapes less without, milliseconds. */
  addedDelayMs: number;
  /** Share of the scrapes that failed, 0 to 1. */
  failed: number;
  /** Growth of the primary's peak resident memory by the scrapes, MiB. */
  memoryMiB: number;
  /** Of this package alone. */
  forms: Record<FormName, FormCost> | null;
}

/** The forms of the page that are compared. */
export const FORM_NAMES = ['text', 'protobuf'] as const;
export type FormName = (typeof FORM_NAMES)[number];

export interface FormCost {
  /** CPU time of the primary for each scrape, milliseconds; measured in turns with the other form. */
  processorMs: number[];
  bytes: number;
  gzipBytes: number;
}

const UPDATE_MS = 500;
const PAUSE_MS = 100;
const WARM_UP_SCRAPES = 30;
const TURN_MS = 500;
const DELAY_RESOLUTION_MS = 1;
/** What the handler of `/metrics` compresses with by default. */
const GZIP_LEVEL = constants.Z_BEST_SPEED;
const CLIENT = fileURLToPath(import.meta.resolve('./client.js'));

const [mechanism, workers, samples, seconds, buckets] = process.argv.slice(2) as [Mechanism, ...string[]];
const loaded = await load(mechanism);
if (loaded === null) throw new Error(`${mechanism} is not installed`);
if (cluster.isWorker) runWorker(loaded);
else await runPrimary(loaded);

function runWorker({ library, aggregators }: Loaded): void {
  const registry = workerRegistry(aggregators);
  const update = declareMix(library, registry, Number(samples), buckets === 'native');
  setInterval(update, UPDATE_MS);
  createServer((_request, response) => {
    update();
    response.end('ok');
  }).listen(0, '127.0.0.1');
  process.on('disconnect', () => process.exit());
}

function workerRegistry({ Registry, AggregatorRegistry }: Loaded['aggregators']): WorkerRegistry {
  const { STORE_DIRECTORY: directory = '', PLACE: worker = '' } = process.env;
  if (mechanism === 'ours') return new WorkerRegistry(openStore({ directory, worker }));
  const registry = new Registry();
  new AggregatorRegistry();
  AggregatorRegistry.setRegistries(registry);
  return registry as WorkerRegistry;
}

async function runPrimary({ aggregators }: Loaded): Promise<void> {
  const directory = createStoreDirectory({ name: 'bench' });
  const registry =
    mechanism === 'ours' ? new ClusterRegistry({ directory: directory.path }) : new aggregators.AggregatorRegistry();
  const ports: number[] = [];
  for (let place = 1; place <= Number(workers); place++) {
    const worker = cluster.fork({ STORE_DIRECTORY: directory.path, PLACE: String(place) });
    for (const emitter of [worker, worker.process]) emitter.on('error', () => {});
    // In sequence: 64 processes that start at once slow each other down.
    const [address] = await once(worker, 'listening');
    ports.push(address.port);
  }

  // A scrape that times out counts with its duration.
  let scrapes = 0;
  let failures = 0;
  const scrape = async () => {
    scrapes++;
    return registry.clusterMetrics().catch(() => {
      failures++;
      return '';
    });
  };
  const before = process.resourceUsage().maxRSS;
  for (let i = 0; i < 3; i++) await scrape();
  const costs = await measureScrapes(scrape, Number(seconds));
  const forms = registry instanceof ClusterRegistry ? await measureForms(registry, Number(seconds)) : null;
  const memoryMiB = (process.resourceUsage().maxRSS - before) / 1024;
  const addedDelayMs = await measureDelay(scrape, ports[0] ?? 0, Number(seconds));
  const measurement: Measurement = { ...costs, addedDelayMs, memoryMiB, forms, failed: failures / scrapes };
  process.stdout.write(JSON.stringify(measurement));

  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
  directory.remove();
  process.exit();
}

async function measureScrapes(scrape: () => Promise<string>, forSeconds: number) {
  const answers: number[] = [];
  const processor: number[] = [];
  const blocks: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  const end = performance.now() + 1000 * forSeconds;
  while (performance.now() < end || answers.length < 3) {
    await sleep(PAUSE_MS);
    delay.reset();
    const startedAt = performance.now();
    processor.push(await processorMsOf(scrape));
    answers.push(performance.now() - startedAt);
    await sleep(2 * DELAY_RESOLUTION_MS);
    blocks.push(delay.max / 1e6);
  }
  delay.disable();
  return { answerMs: median(answers), processorMs: median(processor), blockMs: median(blocks) };
}

async function measureForms(registry: ClusterRegistry, forSeconds: number): Promise<Record<FormName, FormCost>> {
  const contentTypes = { text: registry.contentType, protobuf: ClusterRegistry.PROTOBUF_CONTENT_TYPE } as const;
  const rounds = Math.ceil((1000 * forSeconds) / PAUSE_MS);
  // A primary lives for days: its code is compiled.
  for (const form of FORM_NAMES) {
    for (let i = 0; i < WARM_UP_SCRAPES; i++) await registry.exposition({ contentType: contentTypes[form] });
  }
  const [text = [], protobuf = []] = await interleave(FORM_NAMES, rounds, async (form) => {
    await sleep(PAUSE_MS);
    return processorMsOf(() => registry.exposition({ contentType: contentTypes[form] }));
  });
  const costOf = async (form: FormName, processorMs: number[]) => {
    const page = await registry.exposition({ contentType: contentTypes[form] });
    return { processorMs, bytes: page.length, gzipBytes: gzipSync(page, { level: GZIP_LEVEL }).length };
  };
  return { text: await costOf('text', text), protobuf: await costOf('protobuf', protobuf) };
}

/** CPU time that this process uses until it is done, milliseconds. */
async function processorMsOf(run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Alternates half a second without scrapes and half a second with them, so that other load affects both. */
async function measureDelay(scrape: () => Promise<string>, port: number, forSeconds: number): Promise<number> {
  // In its own process, so that the measured load does not slow it.
  const client = fork(CLIENT, [String(port), String(2 * forSeconds)]);
  const answer = once(client, 'message');
  let measuring = true;
  answer.finally(() => {
    measuring = false;
  });
  while (measuring) {
    await sleep(TURN_MS - (Date.now() % TURN_MS));
    while (measuring && isScraping(Date.now())) {
      await scrape();
      await sleep(PAUSE_MS);
    }
  }
  const [timings] = (await answer) as [Timing[]];
  const p99 = (scraping: boolean) => {
    const durations = timings.filter(([startedAt]) => isScraping(startedAt) === scraping).map(([, ms]) => ms);
    return durations.sort((a, b) => a - b)[Math.floor(0.99 * durations.length)] ?? Number.NaN;
  };
  return p99(true) - p99(false);
}

function isScraping(atMs: number): boolean {
  return Math.floor(atMs / TURN_MS) % 2 === 1;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
