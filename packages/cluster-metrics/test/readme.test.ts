import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../test/support/system.ts';
import { until } from '../../../test/support/wait.ts';
import { parseStoreFileName } from '../src/store/layout.ts';
import { type Exposition, parseExposition } from '../src/testing/index.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const readme = readFileSync(join(root, 'packages/cluster-metrics/README.md'), 'utf8');

const [example = '', koaExample = ''] = readme.match(/(?<=```js\n)[\s\S]*?(?=```)/g) ?? [];

/** The first example, its worker's server replaced by a Koa application with the middleware of the second. */
const exampleWithKoa = `import Koa from 'koa';
${example.replace(', Counter,', ', Histogram,').replace(
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

/** Runs an example of the README, but for its ports. */
async function startExample(t: TestContext, code: string) {
  const [metricsPort, port] = [await freePort(), await freePort()];
  // Inside the package, so that it finds it by its name, in the folder of what is built.
  const file = join(root, `dist/example-${port}.mjs`);
  writeFileSync(file, code.replace('9464', String(metricsPort)).replace('8080', String(port)));
  const primary: ChildProcess = spawn(process.execPath, [file], { stdio: 'ignore' });
  const stores = await until('its folder', () => storesOf(primary.pid as number));
  t.after(async () => {
    primary.kill('SIGKILL');
    await once(primary, 'exit');
    rmSync(file);
    // The workers notice a moment later that they are alone.
    rmSync(stores, { recursive: true, force: true, maxRetries: 10 });
  });
  return {
    scrape: async (): Promise<Exposition> =>
      parseExposition(await (await fetch(`http://127.0.0.1:${metricsPort}`)).text()),
    request: async () => (await fetch(`http://127.0.0.1:${port}`)).text(),
    pids: () => readdirSync(stores).flatMap((name) => parseStoreFileName(name)?.pid ?? []),
  };
}

function storesOf(pid: number): string | undefined {
  const parents = ['/dev/shm', tmpdir()].filter(existsSync);
  return parents
    .flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
    .find((path) => basename(path).startsWith(`example-${pid}-`));
}

test('the example runs: four workers, one of them killed, nothing lost', async (t) => {
  const { scrape, request, pids } = await startExample(t, example);
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

test('the middleware for Koa runs: what is answered is counted, though its worker is killed', async (t) => {
  const { scrape, request, pids } = await startExample(t, exampleWithKoa);
  const counted = async () => (await scrape()).get('duration_seconds_count{method="GET",status_code="200"}');
  await until('an answer', request);
  for (let i = 1; i < 10; i++) assert.equal(await request(), 'hello');
  for (const pid of pids()) process.kill(pid, 'SIGKILL');
  assert.equal(await counted(), 10);
});

test('the example is some twenty lines', () => {
  const lines = example.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('import'));
  assert.ok(lines.length <= 22, `${lines.length} lines`);
});
