import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { countOpenFiles, heapInUse } from '../support/memory.ts';
import { openCluster } from '../support/stores.ts';

const MANY_LIVES = fileURLToPath(new URL('../support/many-lives.mjs', import.meta.url));
const LIVES = 100;
const PLACES = 8;
/** A leak of 900 lives would be more than 5 MB: each takes about 6 KB in the primary. */
const MEMORY_LIMIT_BYTES = 4_000_000;

test('a thousand lives leave no series, no file and no memory', { timeout: 60_000 }, async (t) => {
  const cluster = openCluster(t, 0);

  async function liveAndDie(): Promise<void> {
    const child = fork(MANY_LIVES, [cluster.directory, String(LIVES), String(PLACES)], { execArgv: [] });
    await once(child, 'message');
    assert.equal((await cluster.scrape()).of('place{worker="1"}') >= 1, true, 'they are seen alive');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await cluster.scrape();
  }

  await liveAndDie();
  const early = await cluster.scrape();
  const openFiles = countOpenFiles();
  const memory = await heapInUse();
  for (let i = 1; i < 10; i++) await liveAndDie();
  const late = await cluster.scrape();

  assert.equal(late.of('acts_total'), 10 * LIVES);
  assert.equal(late.of('took_seconds_count'), 10 * LIVES);
  assert.deepEqual(
    late.samples.map(({ series }) => series),
    early.samples.map(({ series }) => series),
  );
  assert.deepEqual(readdirSync(cluster.directory), []);
  assert.ok(countOpenFiles() <= openFiles + 5, `${countOpenFiles()} files are open, ${openFiles} before`);
  const grown = (await heapInUse()) - memory;
  assert.ok(grown < MEMORY_LIMIT_BYTES, `${grown} bytes for ${9 * LIVES} deaths`);
});
