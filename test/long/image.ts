import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { temporaryFolder } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { followDockerfile } from '../support/dockerfile.ts';
import { createVisitor } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

test('what the Dockerfile copies and installs is enough to serve the shop from an external database', async (t) => {
  const image = await followDockerfile(projectRoot, await temporaryFolder(t));
  const { url } = await testDatabase(t);
  const [program = '', ...args] = image.command;
  assert.equal(program, 'node');

  const shop = spawn(process.execPath, args, {
    cwd: image.workdir,
    env: {
      PATH: process.env.PATH,
      ...image.env,
      // Nothing may be written there: a container's file system can be read-only.
      DATA_DIR: '/dev/null/data',
      DATABASE_URL: url,
      SESSION_KEYS: 'a key that only this test knows',
      HOST: '127.0.0.1',
      PORT: '0',
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: '0',
      WORKERS: '2',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => shop.kill('SIGKILL'));
  const exited = once(shop, 'exit');
  let output = '';
  shop.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const { shopUrl, opsUrl } = await until('the shop is ready', () => {
    assert.equal(shop.exitCode, null, output);
    const line = output.split('\n').find((candidate) => candidate.includes('"shopUrl"'));
    return line === undefined ? undefined : (JSON.parse(line) as { shopUrl: string; opsUrl: string });
  });

  assert.equal(health(image.healthcheck, new URL(opsUrl).port), 0);
  const page = await createVisitor(shopUrl).get('/detail/1');
  assert.equal(page.status, 200);
  assert.match(page.text, /Mochila Urbana/);
  const picture = /src="([^"]+\.svg[^"]*)"/.exec(page.text)?.[1] ?? '';
  assert.equal((await fetch(new URL(picture, shopUrl))).status, 200);

  shop.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  assert.equal(health(image.healthcheck, new URL(opsUrl).port), 1);
});

/** Exit code of the image's health check. */
function health([program = '', ...args]: readonly string[], metricsPort: string): number | null {
  assert.equal(program, 'node');
  return spawnSync(process.execPath, args, { env: { METRICS_PORT: metricsPort }, timeout: 10_000 }).status;
}
