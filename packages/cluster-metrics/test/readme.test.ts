import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../../../test/support/wait.ts';
import { type RunningExample, startExample } from './support/example.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const readme = readFileSync(join(root, 'packages/cluster-metrics/README.md'), 'utf8');

const [example = '', koaExample = '', testingExample = ''] = readme.match(/(?<=```js\n)[\s\S]*?(?=```)/g) ?? [];

/** The first example, with a Koa application and the middleware of the second as the worker's server. */
const exampleWithKoa = `import Koa from 'koa';
${example.replace('  Counter,', '  Histogram,').replace(
  / {2}const requests = [\s\S]*(?=\.listen\(8080\))/,
  () => `
  const labelNames = ['method', 'status_code'];
  const duration = new Histogram({ name: 'duration_seconds', help: 'Seconds', labelNames, registers: [registry] });
  const app = new Koa();
  ${koaExample}
  app.use((ctx) => {
    ctx.body = 'hello';
  })`,
)}`;

/** Runs an example of the README on other ports. */
async function start(t: TestContext, code: string): Promise<RunningExample> {
  // In the package's folder of built files, so that the example finds the package by its name.
  const file = join(root, `dist/example-${randomUUID()}.mjs`);
  writeFileSync(file, code.replace('9464', 'process.env.METRICS_PORT').replace('8080', 'process.env.PORT'));
  t.after(() => rmSync(file));
  return startExample(t, file);
}

test('the example runs with four workers and loses nothing when one is killed', async (t) => {
  const { scrape, request, pids } = await start(t, example);
  await until('four workers', async () => (await scrape()).has('cluster_metrics_worker_age_seconds{worker="4"}'));
  await until('an answer', request);
  for (let i = 1; i < 20; i++) assert.equal(await request(), 'hello');
  assert.equal((await scrape()).of('requests_total'), 20);
  assert.ok((await scrape()).of('process_resident_memory_bytes') > 0);

  const [victim] = pids();
  process.kill(victim as number, 'SIGKILL');
  await until('its replacement', () => pids().length === 4 && !pids().includes(victim as number));
  assert.equal((await scrape()).of('requests_total'), 20);
  assert.equal(await request(), 'hello');
  assert.equal((await scrape()).of('requests_total'), 21);
});

test('the middleware for Koa counts an answered request even if its worker is killed', async (t) => {
  const { scrape, request, pids } = await start(t, exampleWithKoa);
  const counted = async () => (await scrape()).get('duration_seconds_count{method="GET",status_code="200"}');
  await until('an answer', request);
  for (let i = 1; i < 10; i++) assert.equal(await request(), 'hello');
  for (const pid of pids()) process.kill(pid, 'SIGKILL');
  assert.equal(await counted(), 10);
});

test('the example is some twenty lines', () => {
  const lines = example
    .replaceAll(/^import [\s\S]*?;$/gm, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  assert.ok(lines.length <= 22, `${lines.length} lines`);
});

test('the example of the testing helper runs beside the first one', async (t) => {
  const { request, port, metricsPort } = await start(t, example);
  await until('an answer', request);
  const file = join(root, `dist/example-${randomUUID()}.mjs`);
  t.after(() => rmSync(file));
  writeFileSync(file, testingExample.replace('9464', String(metricsPort)).replace('8080', String(port)));
  const { status, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});
