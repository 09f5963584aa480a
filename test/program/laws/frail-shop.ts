import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Knex } from 'knex';
import { projectRoot } from '../../../src/paths.ts';
import { type RunningCluster, startCluster } from '../../support/cluster.ts';
import { testDatabase } from '../../support/database.ts';
import { temporaryFolder } from '../../support/system.ts';

/** How a worker can end or fall silent: by a signal, or by itself. */
export type Fault =
  | ('SIGKILL' | 'SIGTERM' | 'SIGSTOP')
  | ('exception' | 'out of memory' | 'killed by its next answer' | 'endless loop');

export interface FrailShop extends RunningCluster {
  /** What the shop has committed. */
  readonly knex: Knex;
  /** Makes it happen to a worker, now. */
  strike(pid: number, fault: Fault): void;
}

/** Small, so that a worker runs out of memory within a fraction of a second; it needs some 25 MB to serve. */
const HEAP_MB = 96;

/** A running shop, the real program, whose workers can be made to fail in every way. */
export async function startFrailShop(
  t: TestContext,
  options: { workers: number; env?: Record<string, string> },
): Promise<FrailShop> {
  const { url, knex } = await testDatabase(t);
  const faults = await temporaryFolder(t);
  // V8 aborts when it is out of memory; where the system keeps the memory of what aborts, it would land in the tree.
  spawnSync('prlimit', ['--pid', String(process.pid), '--core=0']);
  const preload = pathToFileURL(join(projectRoot, 'test/program/laws/faults.mjs')).href;
  const shop = await startCluster(t, {
    workers: options.workers,
    database: { url },
    env: { NODE_OPTIONS: `--import=${preload} --max-old-space-size=${HEAP_MB}`, FAULTS: faults, ...options.env },
  });
  return {
    ...shop,
    knex,
    strike(pid, fault) {
      if (fault === 'SIGKILL' || fault === 'SIGTERM' || fault === 'SIGSTOP') {
        process.kill(pid, fault);
      } else {
        writeFileSync(join(faults, String(pid)), fault);
        process.kill(pid, 'SIGUSR2');
      }
    },
  };
}
