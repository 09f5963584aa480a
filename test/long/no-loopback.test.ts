import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { temporaryFolder } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

const DEADLINE_MS = 60_000;

const DOWN = { what: 'a loopback that is down', make: 'true', says: /127\.0\.0\.1.*ip link set lo up.*DATABASE_URL/ };
const WITHOUT_ADDRESS = {
  what: 'a loopback without 127.0.0.1',
  make: 'ip link set lo up && ip address delete 127.0.0.1/8 dev lo',
  says: /127\.0\.0\.1.*ip link set lo up/,
};
const NETWORKS = [DOWN, WITHOUT_ADDRESS];

/** Runs the built program in a network of its own, which only root may create. */
async function startInNetwork(t: TestContext, make: string, env: Record<string, string>) {
  const child = spawn('unshare', ['--net', 'sh', '-c', `${make} && exec "$0" dist/src/main.js`, process.execPath], {
    cwd: projectRoot,
    env: { PATH: process.env.PATH, DATA_DIR: await temporaryFolder(t), PORT: '0', METRICS_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  whenDone(t, () => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  const closed = once(child, 'close', { signal: AbortSignal.timeout(DEADLINE_MS) });
  return { child, output: () => output, closed };
}

for (const { what, make, says } of NETWORKS) {
  test(`the start with ${what} ends with a sentence that says what to do`, async (t) => {
    const { closed, output } = await startInNetwork(t, make, {});
    assert.deepEqual(await closed, [1, null], output());
    assert.match(output(), says);
  });
}

const ELSEWHERE = { DATABASE_URL: 'postgres://u:p@127.0.0.1:5432/x' };

test('a signal ends the wait for an external database while the loopback is down', async (t) => {
  const { child, closed, output } = await startInNetwork(t, DOWN.make, ELSEWHERE);
  await until('it waits for its database', () => output().includes('waiting for the database'));
  child.kill('SIGTERM');
  assert.deepEqual(await closed, [0, null], output());
});

test('the start with an external database and no 127.0.0.1 ends with the same sentence', async (t) => {
  const { closed, output } = await startInNetwork(t, WITHOUT_ADDRESS.make, ELSEWHERE);
  assert.deepEqual(await closed, [1, null], output());
  assert.match(output(), WITHOUT_ADDRESS.says);
});
