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
  /** Of the worker's resident memory, garbage included. */
  workerResident: number;
  /** In use in the primary's process. */
  primary: number;
  /** Of the primary's resident memory, garbage included. */
  primaryResident: number;
}

const STORES = 32;
/** Of `stat`'s `blocks`, for any block size of the file system. */
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

const before = await memoryNow();
const opened = Array.from({ length: STORES }, (_, i) => openMix(i + 1));
const withStores = await memoryNow();
const files = readdirSync(directory.path).map((name) => statSync(join(directory.path, name)).blocks * BLOCK_BYTES);

const primary = new ClusterRegistry({ directory: directory.path });
await primary.clusterMetrics();
const withPrimary = await memoryNow();

const memory: StoreMemory = {
  file: files.reduce((sum, bytes) => sum + bytes, 0) / files.length,
  worker: (withStores.inUse - before.inUse) / STORES,
  workerResident: (withStores.resident - before.resident) / STORES,
  primary: (withPrimary.inUse - withStores.inUse) / STORES,
  primaryResident: (withPrimary.resident - withStores.resident) / STORES,
};
process.stdout.write(JSON.stringify(memory));
for (const { store } of opened) store.close();
primary.close();
directory.remove();

async function memoryNow(): Promise<{ inUse: number; resident: number }> {
  const inUse = await heapInUse();
  return { inUse, resident: process.memoryUsage.rss() };
}
