import cluster, { type Worker } from 'node:cluster';
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AggregatorRegistry } from 'prom-client';
import { freePort } from '../../../../test/support/system.ts';
import { ClusterRegistry, createStoreDirectory } from '../../src/index.ts';
import { type Exposition, parseExposition } from '../../src/testing/index.ts';

/** `stock` is prom-client's AggregatorRegistry. */
export type Mechanism = 'stock' | 'ours';

export interface Observations {
  acts?: number;
  kind?: string;
  waits?: number[];
  depth?: number;
  peak?: number;
}

/** A primary in the test's process with workers that are real processes. */
export interface Farm {
  /** The workers' port. Each answered request counts as one act. */
  readonly port: number;
  /** The folder of the stores. */
  readonly directory: string;
  scrape(worker?: string): Promise<Exposition>;
  /** Resolves when the worker has done it, or, for `hang`, when it is about to. */
  tell(place: number, command: 'observe' | 'remove' | 'forget' | 'hang', observations?: Observations): Promise<void>;
  /** Kills the worker by a signal, a bug or a full heap. Resolves when it has exited. Its place stays empty. */
  kill(place: number, how: NodeJS.Signals | 'crash' | 'exhaustMemory'): Promise<void>;
  pid(place: number): number;
  /** Starts a worker in an empty place. */
  replace(place: number): Promise<void>;
}

const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url));
const BUILT = fileURLToPath(new URL('../../dist/index.js', import.meta.url));

export async function startFarm(t: TestContext, mechanism: Mechanism, { workers }: { workers: number }): Promise<Farm> {
  if (!existsSync(BUILT)) throw new Error('Run npm run build first: the workers run the built package');
  const directory = createStoreDirectory({ name: 'farm' });
  const registry =
    mechanism === 'stock' ? new AggregatorRegistry() : new ClusterRegistry({ directory: directory.path });
  const places = new Map<number, Worker>();
  const port = await freePort();
  // A connection that the primary hands to a worker that dies just then would never be answered or closed.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ exec: WORKER, execArgv: ['--max-old-space-size=64'], silent: true });

  t.after(async () => {
    await Promise.all([...places.keys()].map((place) => farm.kill(place, 'SIGKILL')));
    if (registry instanceof ClusterRegistry) registry.close();
    directory.remove();
  });

  const farm: Farm = {
    port,
    directory: directory.path,
    async scrape(worker) {
      const text =
        registry instanceof ClusterRegistry && worker !== undefined
          ? await registry.clusterMetrics({ worker })
          : await registry.clusterMetrics();
      return parseExposition(text);
    },
    async tell(place, command, observations = {}) {
      const worker = at(places, place);
      const done = new Promise<void>((resolve) => {
        worker.on('message', function onMessage(message) {
          if (message !== 'done') return;
          worker.off('message', onMessage);
          resolve();
        });
      });
      worker.send({ command, ...observations });
      await done;
    },
    async kill(place, how) {
      const worker = at(places, place);
      const gone = exited(worker);
      if (how === 'crash' || how === 'exhaustMemory') worker.send({ command: how });
      else process.kill(worker.process.pid as number, how);
      await gone;
      places.delete(place);
    },
    pid: (place) => at(places, place).process.pid as number,
    async replace(place) {
      const worker = cluster.fork({
        MECHANISM: mechanism,
        STORE_DIRECTORY: directory.path,
        PLACE: String(place),
        PORT: String(port),
      });
      // A message to a worker that dies just then: its exit is handled below.
      worker.on('error', () => {});
      worker.process.on('error', () => {});
      places.set(place, worker);
      const serves = new Promise<null>((resolve) => worker.once('listening', () => resolve(null)));
      const code = await Promise.race([serves, exited(worker)]);
      if (code !== null) throw new Error(`A worker left at its start: ${code}`);
    },
  };
  await Promise.all(Array.from({ length: workers }, (_, i) => farm.replace(i + 1)));
  return farm;
}

/** Unlike events.once, it does not fail when prom-client writes to a dying worker. */
function exited(worker: Worker): Promise<number | string> {
  return new Promise((resolve) => worker.once('exit', (code, signal) => resolve(signal ?? code)));
}

function at(places: ReadonlyMap<number, Worker>, place: number): Worker {
  const worker = places.get(place);
  if (worker === undefined) throw new Error(`No worker is at place ${place}`);
  return worker;
}
