import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { processesNaming, temporaryFolder } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

const PAGES = ['home', 'product', 'list'];

/** Heading of each part, and the first cells of its rows. */
const ROWS: Record<string, readonly string[]> = {
  'Pages before and now': [...PAGES, 'static file', '/livez'],
  'Writes before and now': ['first add to cart', 'next add to cart', 'checkout'],
  'Pages against bare Koa': [...PAGES, ...PAGES, 'static file', '/livez'],
  Instrumentation: PAGES,
  Scrapes: ['requests/s', 'p99, ms', 'p99.9, ms'],
  'Viewers of the live page': ['primary’s CPU, % of a core', 'a scrape, ms'],
  'Two workers against one': ['requests/s', 'workers’ CPU µs a request'],
  Starts: ['first', 'later'],
};

test('the short benchmark gets the right answers and reports every row', { timeout: 500_000 }, async (t) => {
  const file = join(await temporaryFolder(t), 'results.md');
  const bench = startBench(t, ['--quick', '--against', 'HEAD', '--out', file]);
  assert.equal(await bench.ended, 0, bench.output());

  const report = await readFile(file, 'utf8');
  assert.match(
    report,
    /^Written by .* revision \w+.*, Node\.js \d+\.\d+\.\d+, \d+ cores of .+\. The load average .+\.$/m,
  );
  for (const [title, rows] of Object.entries(ROWS)) {
    const [, part = ''] = report.split(`## ${title}\n`);
    assert.deepEqual(firstCells(part.split('\n## ')[0] ?? ''), rows, title);
  }
  assert.match(report, /^\| after \d+ s of browsing +\| +500 \|/m);
  assert.match(report, /^\| memory of a worker after \d+ s of browsing, MB .* (so far|no) \|$/m);
  assert.doesNotMatch(report, /NaN|Infinity|undefined| – /);
});

for (const { what, signal } of [
  { what: 'Ctrl-C', signal: 'SIGINT' },
  { what: 'a closed terminal', signal: 'SIGHUP' },
] as const) {
  test(`${what} ends the benchmark and all that it has started`, async (t) => {
    const folder = await temporaryFolder(t);
    const bench = startBench(t, ['pages'], { TMPDIR: folder });
    await until('the benchmark has started a database', async () => (await processesNaming(folder)).length > 0);
    process.kill(-bench.pid, signal);
    await bench.ended;
    await until('all processes have ended', async () => (await processesNaming(folder)).length === 0);
    assert.deepEqual(await readdir(folder), []);
  });
}

test('an unknown part ends the benchmark with the names of the parts', async (t) => {
  const bench = startBench(t, ['page']);
  assert.equal(await bench.ended, 2, bench.output());
  assert.match(bench.output(), /There is no part page\. The parts: before, /);
});

/** Runs in its own process group, as a command in a terminal does. */
function startBench(t: TestContext, args: string[], env: Record<string, string> = {}) {
  const bench = spawn('npm', ['run', 'bench', '--', ...args], {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const pid = bench.pid as number;
  const ended = once(bench, 'close').then(([code]) => code as number | null);
  whenDone(t, async () => {
    if (bench.exitCode === null && bench.signalCode === null) process.kill(-pid, 'SIGTERM');
    await ended;
  });
  let output = '';
  for (const stream of [bench.stdout, bench.stderr]) {
    stream.on('data', (data) => {
      output += data;
    });
  }
  return { pid, ended, output: () => output };
}

/** Of the rows of a part's table, without its head. */
function firstCells(part: string): string[] {
  return [...part.matchAll(/^\| ([^|]*?) +\|/gm)].slice(1).map(([, cell]) => cell ?? '');
}
