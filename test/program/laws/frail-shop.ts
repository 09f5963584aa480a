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

/** How a worker can end or hang: by a signal or by a fault of its own. */
export type Fault =
  | ('SIGKILL' | 'SIGTERM' | 'SIGSTOP')
  | ('exception' | 'out of memory' | 'killed by its next answer' | 'endless loop');

export interface FrailShop extends RunningCluster {
  /** The shop's database. */
  readonly knex: Knex;
  /** Causes the fault in a worker. */
  strike(pid: number, fault: Fault): void;
}

/** Small, so that a worker runs out of memory within a fraction of a second. It needs about 25 MB to serve. */
const HEAP_MB = 96;

/** Starts a shop whose workers can be made to fail in every way. */
export async function startFrailShop(
  t: TestContext,
  options: { workers: number; env?: Record<string, string> },
): Promise<FrailShop> {
  const { url, knex } = await testDatabase(t);
  const faults = await temporaryFolder(t);
  // V8 aborts when it is out of memory, which would write a core file into the project.
  spawnSync('prlimit', ['--pid', String(process.pid), '--core=0']);
  const preload = pathToFileURL(join(projectRoot, 'test/program/laws/faults.mjs')).href;
  const shop = await startCluster(t, {
    workers: options.workers,
    database: { url },
    env: { NODE_OPTIONS: `--import=${preload} --max-old-space-size=${HEAP_MB}`, FAULT_FILES: faults, ...options.env },
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
