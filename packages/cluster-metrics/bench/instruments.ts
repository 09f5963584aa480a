import type { Registry } from 'prom-client';
import {
  createStoreDirectory,
  Histogram,
  WorkerRegistry as OurRegistry,
  openStore,
  type WorkerRegistry,
} from '../src/index.ts';
import { defineRequest } from '../workload/fleet.ts';
import type { Library, Loaded } from '../workload/mechanism.ts';
import { latency } from '../workload/mix.ts';

/** Nanoseconds per call, by name of the call. */
export type Costs = Record<string, number>;

const CALLS = 2_000;

/** The fastest of many rounds, the one that other processes disturbed least. */
function shortestNs(rounds: number, call: (i: number) => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) best = Math.min(best, roundNs(call));
  return best;
}

function roundNs(call: (i: number) => void): number {
  const startedAt = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) call(i);
  return Number(process.hrtime.bigint() - startedAt) / CALLS;
}

/** Cost of prom-client's and its successor's instruments, which write no file. */
export function costsOfPeer({ library, aggregators }: Loaded, rounds: number): Costs {
  const newRegistry = () => new aggregators.Registry() as WorkerRegistry;
  const costs = costsOf(library, newRegistry(), rounds);
  const request = defineRequest(library, newRegistry());
  costs['one request'] = shortestNs(rounds, () => {
    request.begin();
    request.end();
  });
  return costs;
}

/** Cost of this package's instruments; a request includes the write to the file. */
export function costsOfOurs({ library }: Loaded, rounds: number): Costs {
  const directory = createStoreDirectory({ name: 'bench' });
  const stores = [1, 2].map((worker) => openStore({ directory: directory.path, worker }));
  const [registry, requestRegistry] = stores.map((store) => new OurRegistry(store));
  const [, store] = stores;
  if (registry === undefined || requestRegistry === undefined || store === undefined) throw new Error('there are two');
  const costs = costsOf(library, registry, rounds);
  const request = defineRequest(library, requestRegistry);
  costs['one request'] = shortestNs(rounds, () => {
    request.begin();
    request.end();
    store.flush();
  });
  for (const each of stores) each.close();
  directory.remove();
  return costs;
}

/** Nanoseconds of `Histogram.observe` with classic buckets alone, and with native ones too; measured in turns. */
export function costsOfObserve(rounds: number): { classic: number; native: number } {
  const directory = createStoreDirectory({ name: 'bench' });
  const store = openStore({ directory: directory.path, worker: 1 });
  const registers = [new OurRegistry(store)];
  const labels = { operation: 'select', table: 'products' };
  const latencies = Array.from({ length: 1024 }, latency);
  const observeIn = (name: string, native: boolean) => {
    const histogram = new Histogram({ name, help: 'help', labelNames: ['operation', 'table'], native, registers });
    return (i: number) => histogram.observe(labels, latencies[i & 1023] as number);
  };
  const [inClassic, inNative] = [observeIn('a', false), observeIn('b', true)];
  const costs = { classic: Number.POSITIVE_INFINITY, native: Number.POSITIVE_INFINITY };
  for (let round = 0; round < rounds; round++) {
    costs.classic = Math.min(costs.classic, roundNs(inClassic));
    costs.native = Math.min(costs.native, roundNs(inNative));
    // As at the end of a turn of the event loop, which a loop without a pause never reaches.
    store.flush();
  }
  store.close();
  directory.remove();
  return costs;
}

function costsOf(library: Library, registry: WorkerRegistry | Registry, rounds: number): Costs {
  const common = { help: 'help', labelNames: ['operation', 'table'] as const, registers: [registry as WorkerRegistry] };
  const labels = { operation: 'select', table: 'products' };
  const counter = new library.Counter({ ...common, name: 'a_total' });
  const histogram = new library.Histogram({ ...common, name: 'b' });
  const summary = new library.Summary({ ...common, name: 'c', maxAgeSeconds: 300, ...{ ageBuckets: 5 } });
  const latencies = Array.from({ length: 1024 }, latency);
  return {
    'Counter.inc': shortestNs(rounds, () => counter.inc(labels)),
    'Histogram.observe': shortestNs(rounds, (i) => histogram.observe(labels, latencies[i & 1023] as number)),
    'Summary.observe, 5 min window': shortestNs(rounds, (i) => summary.observe(labels, latencies[i & 1023] as number)),
  };
}
