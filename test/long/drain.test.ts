import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { connectRaw } from '../support/raw-client.ts';
import { isAlive } from '../support/system.ts';
import { until } from '../support/wait.ts';

/** Requests in flight get this long, and a worker that cannot drain gets one more second. */
const DRAIN_DEADLINE_MS = 7_000;
const KILL_DEADLINE_MS = 8_000;
const SLACK_MS = 5_000;

test('an unfinished upload is cut and a worker that does not drain is killed at the deadline', async (t) => {
  const shop = await startCluster(t, { env: { WORKER_HANG_SECONDS: '60' } });
  const family = await shop.processes();
  const [stuck] = (await shop.status()).workers;
  // A stopped worker accepts no connection, so the other one gets the upload.
  process.kill(stuck?.pid as number, 'SIGSTOP');
  const upload = connectRaw(t, shop.shopUrl);
  await upload.send(
    'POST /add_to_cart/1 HTTP/1.1\r\nHost: shop\r\n' +
      'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nquantity=',
  );
  await until('it has arrived', async () => (await shop.metrics()).of('http_requests_in_flight') === 1);

  const startedMs = performance.now();
  const stopped = shop.stop('SIGTERM');
  await upload.end(DRAIN_DEADLINE_MS + SLACK_MS);
  const cutMs = performance.now() - startedMs;
  assert.equal(upload.answer(), '');
  assert.deepEqual(await stopped, { code: 0, signal: null });
  const stoppedMs = performance.now() - startedMs;
  t.diagnostic(`cut after ${cutMs.toFixed()} ms, stopped after ${stoppedMs.toFixed()} ms`);

  assert.ok(cutMs >= DRAIN_DEADLINE_MS, `cut after ${cutMs} ms`);
  assert.ok(stoppedMs >= KILL_DEADLINE_MS && stoppedMs < KILL_DEADLINE_MS + SLACK_MS, `stopped after ${stoppedMs} ms`);
  const killed = new RegExp(`"workerPid":${stuck?.pid},"msg":"worker did not drain in time and is killed"`, 'g');
  assert.equal(shop.output().match(killed)?.length, 1);
  assert.equal(shop.output().match(/is killed/g)?.length, 1, 'the other has drained');
  for (const pid of family) assert.equal(await isAlive(pid), false, String(pid));
});
