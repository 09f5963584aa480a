/*
 * `npm run bench`: measures the shop against its goals. CONTRIBUTING.md has the parts and the options.
 */
import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ReleaseStack } from '../src/cluster/release.ts';
import { projectRoot } from '../src/paths.ts';
import { type Bench, createBench, type Effort } from './bench.ts';
import { measureBefore } from './parts/before.ts';
import { measureInstrumentation } from './parts/instrumentation.ts';
import { HOUR_SECONDS, measureMemory } from './parts/memory.ts';
import { measurePages } from './parts/pages.ts';
import { measureScrapes } from './parts/scrapes.ts';
import { measureStarts } from './parts/starts.ts';
import { measureViewers } from './parts/viewers.ts';
import { measureWorkers } from './parts/workers.ts';
import { measureWrites } from './parts/writes.ts';
import { formatGoals, formatPart, formatReport, type Part } from './report.ts';
import { runWithResources } from './resources.ts';
import { EARLIER } from './revision.ts';

/** In this order: first those that compare with another shop, as long as both have served equally little. */
const PARTS: Record<string, (bench: Bench) => Promise<Part>> = {
  before: measureBefore,
  writes: measureWrites,
  pages: measurePages,
  instrumentation: measureInstrumentation,
  scrapes: measureScrapes,
  viewers: measureViewers,
  workers: measureWorkers,
  memory: measureMemory,
  starts: measureStarts,
};

const WHOLE: Effort = {
  warmUpSeconds: 3,
  rounds: 5,
  pairs: 7,
  seconds: 0.8,
  orders: 1000,
  browsing: { requests: 200_000, seconds: 45 },
  starts: 3,
};
/** Shows that everything works. Its figures say little. */
const QUICK: Effort = {
  warmUpSeconds: 0.2,
  rounds: 1,
  pairs: 1,
  seconds: 0.2,
  orders: 20,
  browsing: { requests: 500, seconds: 60 },
  starts: 1,
};

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    hour: { type: 'boolean', default: false },
    against: { type: 'string', default: EARLIER },
    out: { type: 'string' },
  },
});
const unknown = positionals.filter((name) => !(name in PARTS));
if (unknown.length > 0) fail(`There is no part ${unknown.join(', ')}. The parts: ${Object.keys(PARTS).join(', ')}.`);
if (process.platform !== 'linux') fail('The benchmark reads processor times from /proc, so it needs Linux.');

await runWithResources(run);

async function run(resources: ReleaseStack): Promise<void> {
  const startedMs = performance.now();
  const [loadBefore = Number.NaN] = loadavg();
  const effort = options.quick ? QUICK : WHOLE;
  const browsing = options.hour ? { requests: Number.POSITIVE_INFINITY, seconds: HOUR_SECONDS } : effort.browsing;
  const bench = await createBench({ ...effort, browsing }, options.against, resources);
  const parts: Part[] = [];
  for (const [name, measure] of Object.entries(PARTS)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const part = await measure(bench);
    parts.push(part);
    console.log(formatPart(part));
  }
  console.log(formatGoals(parts.flatMap(({ goals }) => goals)));
  console.log(`\n${Math.round((performance.now() - startedMs) / 1000)} s`);

  // Only a whole run changes the committed results.
  const isWhole = positionals.length === 0 && !options.quick;
  const file = options.out ?? (isWhole ? join(projectRoot, 'bench/results.md') : undefined);
  if (file !== undefined) await writeFile(file, await formatReport(parts, loadBefore));
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(2);
}
