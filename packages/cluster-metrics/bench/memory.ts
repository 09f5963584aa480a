/*
 * `memory.js <samples> <classic | native>` opens many stores with as many samples each, reads them as a primary does, and
 * prints the memory of one as JSON.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterRegistry, createStoreDirectory, openStore, WorkerRegistry } from '../src/index.ts';
import { heapInUse } from '../test/support/memory.ts';
import { load } from '../workload/mechanism.ts';
import { declareMix } from '../workload/mix.ts';

/** Bytes of one store. */
export interface StoreMemory {
  /** Of its file that take memory; the gaps in it do not. */
  file: number;
  /** In use in the worker's process. */
  worker: number;
  /** In use in the primary's process. */
  primary: number;
}

const STORES = 32;
/** Of `stat`'s `blocks`, whatever the file system's own block size is. */
const BLOCK_BYTES = 512;

const [samples, buckets] = process.argv.slice(2);
const ours = await load('ours');
if (ours === null) throw new Error('it is always there');
const directory = createStoreDirectory({ name: 'bench' });
/** Declares one mix in a store that is closed again, so that what all stores share is there already. */
const openMix = (worker: number) => {
  const store = openStore({ directory: directory.path, worker });
  const registry = new WorkerRegistry(store);
  declareMix(ours.library, registry, Number(samples), buckets === 'native');
  store.flush();
  // The registry has the metrics, whose maps of series are most of the memory.
  return { store, registry };
};
openMix(0).store.close();

const before = await heapInUse();
const opened = Array.from({ length: STORES }, (_, i) => openMix(i + 1));
const inWorkers = (await heapInUse()) - before;
const files = readdirSync(directory.path).map((name) => statSync(join(directory.path, name)).blocks * BLOCK_BYTES);

const beforePrimary = await heapInUse();
const primary = new ClusterRegistry({ directory: directory.path });
await primary.clusterMetrics();
const inPrimary = (await heapInUse()) - beforePrimary;

const memory: StoreMemory = {
  file: files.reduce((sum, bytes) => sum + bytes, 0) / files.length,
  worker: inWorkers / STORES,
  primary: inPrimary / STORES,
};
process.stdout.write(JSON.stringify(memory));
for (const { store } of opened) store.close();
primary.close();
directory.remove();
