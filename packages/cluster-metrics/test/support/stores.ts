import type { TestContext } from 'node:test';
import {
  ClusterRegistry,
  Counter,
  createStoreDirectory,
  Gauge,
  Histogram,
  openStore,
  type StoreProblem,
  Summary,
  WorkerRegistry,
} from '../../src/index.ts';
import { type Exposition, parseExposition } from '../../src/testing/index.ts';

export const OPENMETRICS = WorkerRegistry.OPENMETRICS_CONTENT_TYPE;

/** The instruments of one store. */
export function openWorker(directory: string, worker: number, { maxAgeSeconds = 300 } = {}) {
  const store = openStore({ directory, worker });
  const registers = [new WorkerRegistry(store)];
  const common = { help: 'help', registers };
  return {
    store,
    counter: new Counter({ ...common, name: 'acts_total', labelNames: ['kind'] }),
    gauge: new Gauge({ ...common, name: 'depth' }),
    histogram: new Histogram({
      ...common,
      name: 'size_bytes',
      labelNames: ['route'],
      buckets: [1, 10, 100],
      native: true,
    }),
    summary: new Summary({ ...common, name: 'took_seconds', percentiles: [0.5, 0.9, 0.95, 0.99], maxAgeSeconds }),
  };
}

/** Stores and their cluster registry in this process, for tests in which no worker dies. */
export function openCluster(t: TestContext, count: number, options: { maxAgeSeconds?: number } = {}) {
  const directory = createStoreDirectory({ name: 'stores' });
  const problems: StoreProblem[] = [];
  const registry = new ClusterRegistry({
    directory: directory.path,
    onProblem: (problem) => problems.push(problem),
  });
  const workers = Array.from({ length: count }, (_, i) => openWorker(directory.path, i + 1, options));
  t.after(() => {
    for (const { store } of workers) store.close();
    registry.close();
    directory.remove();
  });
  return {
    directory: directory.path,
    registry,
    workers,
    problems,
    async scrape({
      openMetrics = false,
      worker,
    }: {
      openMetrics?: boolean;
      worker?: string;
    } = {}): Promise<Exposition> {
      return parseExposition(
        await registry.clusterMetrics({
          ...(openMetrics && { contentType: OPENMETRICS }),
          ...(worker !== undefined && { worker }),
        }),
      );
    },
  };
}
