import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { parseStoreFileName } from '../../../packages/cluster-metrics/src/store/layout.ts';
import { type RunningCluster, readResources } from '../../support/cluster.ts';
import { until } from '../../support/wait.ts';
import { addedSeries } from './boundedness.ts';

/** What dead workers could leave behind in the primary: series, memory and descriptors. */
export interface Footprint {
  readonly scrape: Exposition;
  readonly memoryBytes: number;
  readonly descriptors: number;
}

/** Connections of the pool and of clients come and go. */
const DESCRIPTORS_THAT_COME_AND_GO = 8;
/** V8 gives unused memory back late. */
const MEMORY_LIMIT_BYTES = 32 * 1024 * 1024;

/** Reads them when every place serves and only living workers have a store. */
export async function readFootprint(shop: RunningCluster): Promise<Footprint> {
  await until('only living workers have stores', async () => {
    const { workers } = await shop.status();
    const living = workers.map(({ pid }) => Number(pid)).sort();
    const stores = readdirSync(storesOf(shop.pid)).map((name) => Number(parseStoreFileName(name)?.pid));
    return workers.every(({ state }) => state === 'serving') && String(living) === String(stores.sort());
  });
  const primary = (await readResources(shop)).find(({ process }) => process === 'primary');
  assert.ok(primary);
  return { scrape: await shop.metrics(), ...primary };
}

/** Asserts that nothing grew between two moments while workers died. */
export function proveNothingLeaks(t: TestContext, early: Footprint, late: Footprint): void {
  assert.deepEqual(addedSeries(early.scrape, late.scrape), []);
  const descriptors = late.descriptors - early.descriptors;
  const memory = late.memoryBytes - early.memoryBytes;
  t.diagnostic(
    `the primary: ${early.descriptors} descriptors, then ${late.descriptors}; ` +
      `${Math.round(early.memoryBytes / 2 ** 20)} MiB, ${(memory / 2 ** 20).toFixed(1)} more`,
  );
  assert.ok(descriptors <= DESCRIPTORS_THAT_COME_AND_GO, `${descriptors} descriptors more`);
  assert.ok(memory < MEMORY_LIMIT_BYTES, `${memory} bytes more`);
}

function storesOf(primary: number): string {
  for (const parent of ['/dev/shm', tmpdir()]) {
    const name = readdirSync(parent).find((folder) => folder.startsWith(`fake_shop-${primary}-`));
    if (name !== undefined) return join(parent, name);
  }
  throw new Error(`The primary ${primary} has no folder of stores`);
}
