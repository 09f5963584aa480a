import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { number } from '../../packages/cluster-metrics/bench/table.ts';
import { projectRoot } from '../../src/paths.ts';
import type { Bench } from '../bench.ts';
import type { Goal, Part } from '../report.ts';
import { formatSpread, spreadOf } from '../statistics.ts';

const GOAL_SECONDS = { first: 4, later: 2 };

/** Seconds from the command of `npm start` until the shop is ready: with a new data folder, and with that of an earlier start. */
export async function measureStarts(bench: Bench): Promise<Part> {
  const { scripts } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  const workers = availableParallelism();

  async function start(dataDir?: string): Promise<{ seconds: number; dataDir: string }> {
    const startedMs = performance.now();
    const shop = await bench.startShop({ workers, command: ['sh', '-c', scripts.start], ...(dataDir && { dataDir }) });
    const seconds = (performance.now() - startedMs) / 1000;
    await shop.stop();
    return { seconds, dataDir: shop.dataDir };
  }

  const seconds: Record<keyof typeof GOAL_SECONDS, number[]> = { first: [], later: [] };
  for (let i = 0; i < bench.effort.starts; i++) {
    const first = await start();
    seconds.first.push(first.seconds);
    seconds.later.push((await start(first.dataDir)).seconds);
  }
  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const which of ['first', 'later'] as const) {
    const spread = spreadOf(seconds[which]);
    rows.push([which, formatSpread(spread)]);
    goals.push({
      figure: `${which} start to ready, s`,
      measured: number(spread.median),
      goal: `≤ ${GOAL_SECONDS[which]}`,
      reached: spread.median <= GOAL_SECONDS[which],
    });
  }
  return {
    title: 'Starts',
    about: `From the start of the command of \`npm start\` until the shop with ${workers} workers is ready, with the build up to date. A shell runs the command: the time of npm itself is left out.`,
    head: ['start', 'seconds'],
    rows,
    goals,
  };
}
