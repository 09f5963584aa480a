import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type RunningCluster, spawnShop, startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { isAlive, temporaryFolder } from '../support/system.ts';
import { until } from '../support/wait.ts';

const FATAL = 60;

/** A value of `NODE_OPTIONS` that runs a statement in the primary when it receives SIGUSR2. */
function faultOfPrimary(script: string): Record<string, string> {
  const preloaded = `
    import cluster from 'node:cluster';
    if (cluster.isPrimary) process.on('SIGUSR2', () => { ${script} });`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preloaded)}` };
}

interface LogLine {
  level: number;
  worker: string;
  msg: string;
  err?: { message: string };
}

function logOf(shop: RunningCluster): LogLine[] {
  return shop
    .output()
    .split('\n')
    .map((line) => JSON.parse(line));
}

for (const [what, fault] of [
  ['an exception', `throw new Error('the fault')`],
  ['a rejection', `Promise.reject(new Error('the fault'))`],
  ['one error after the other', `setInterval(() => { throw new Error('the fault'); }, 50);`],
] as const) {
  test(`${what} in the primary is one fatal line, and the shop stops in order`, async (t) => {
    const shop = await startCluster(t, { workers: 1, env: faultOfPrimary(fault) });
    const family = await shop.processes();
    const { code } = await shop.stop('SIGUSR2');
    assert.equal(code, 1);
    await until('nothing is left', async () => {
      for (const pid of family) if (await isAlive(pid)) return false;
      return true;
    });
    const lines = logOf(shop);
    const fatal = lines.filter(({ level }) => level === FATAL);
    assert.deepEqual(
      fatal.map(({ worker, msg, err }) => [worker, msg, err?.message]),
      [['primary', 'uncaught: the shop stops', 'the fault']],
    );
    assert.ok(!lines.some(({ msg }) => msg === 'worker died'));
  });
}

test('an error while the shop stops does not keep it from stopping and shows in the exit code', async (t) => {
  const shop = await startCluster(t, {
    workers: 1,
    env: faultOfPrimary(`process.kill(process.pid, 'SIGTERM'); setImmediate(() => { throw new Error('the fault'); })`),
  });
  assert.equal((await shop.stop('SIGUSR2')).code, 1);
});

test('a SIGTERM after an error in the primary starts no worker again', async (t) => {
  const shop = await startCluster(t, {
    workers: 2,
    env: faultOfPrimary(`setImmediate(() => process.kill(process.pid, 'SIGTERM')); throw new Error('the fault');`),
  });
  assert.equal((await shop.stop('SIGUSR2')).code, 1);
  const messages = logOf(shop).map(({ msg }) => msg);
  assert.ok(!messages.includes('worker exited by itself, without a fault'), shop.output());
  assert.equal(messages.filter((msg) => msg === 'worker serves').length, 2, shop.output());
});

test('the reason why the shop does not start or ends is logged at every log level', async (t) => {
  const env = {
    PORT: '0',
    METRICS_PORT: '0',
    HOST: '127.0.0.1',
    WORKERS: '1',
    LOG_LEVEL: 'silent',
    DATA_DIR: await temporaryFolder(t),
  };
  const { connection } = await testDatabase(t);
  const { child, output } = spawnShop({ ...env, METRICS_HOST: '192.0.2.1', DATABASE_URL: connection.url });
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  assert.match(output(), /^Can't listen on 192\.0\.2\.1/);

  const shop = await startCluster(t, {
    workers: 1,
    env: { LOG_LEVEL: 'silent', ...faultOfPrimary(`throw new Error('the fault')`) },
  });
  assert.equal((await shop.stop('SIGUSR2')).code, 1);
  assert.match(shop.output(), /uncaught: the shop stops: Error: the fault/);
});
