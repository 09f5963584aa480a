import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseStoreFileName } from '../../src/metrics/layout.ts';
import { until } from '../support/wait.ts';
import { parse, type Samples } from './support/samples.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(join(root, 'src/metrics/README.md'), 'utf8');

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

/** Runs the first example of the README as it stands, but for its ports. */
async function startExample(t: TestContext) {
  const [code] = /(?<=```js\n)[\s\S]*?(?=```)/.exec(readme) ?? [];
  if (code === undefined) throw new Error('the README has an example');
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
    rmSync(stores, { recursive: true });
  });
  return {
    scrape: async (): Promise<Samples> => parse(await (await fetch(`http://127.0.0.1:${metricsPort}`)).text()),
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
  const { scrape, request, pids } = await startExample(t);
  await until('four workers', async () =>
    (await scrape()).values.has('cluster_metrics_worker_age_seconds{worker="4"}'),
  );
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

test('the example is as short as it says', () => {
  const [code = ''] = /(?<=```js\n)[\s\S]*?(?=```)/.exec(readme) ?? [];
  const lines = code.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('import'));
  assert.ok(lines.length <= 22, `${lines.length} lines`);
});
