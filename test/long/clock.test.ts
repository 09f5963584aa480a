import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { temporaryFolder } from '../support/system.ts';
import { until } from '../support/wait.ts';

const HOUR_MS = 3_600_000;
/** A worker of this age hangs. A busy machine causes far less, a clock that is set by an hour far more. */
const OLD_SECONDS = 60;

/** The path of libfaketime, which is in Debian's package `faketime`. */
function libraryPath(): string {
  const { error, status, stdout, stderr } = spawnSync('faketime', ['-m', '-f', '+0', 'printenv', 'LD_PRELOAD'], {
    encoding: 'utf8',
  });
  if (error) throw new Error(`This test sets the clock with libfaketime: apt-get install faketime (${error.message})`);
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

test('a shop whose wall clock is set goes on with right numbers', async (t) => {
  const offset = join(await temporaryFolder(t), 'offset');
  const setClock = (seconds: number) => writeFileSync(offset, seconds < 0 ? `${seconds}` : `+${seconds}`);
  setClock(0);
  const shop = await startCluster(t, {
    env: {
      LD_PRELOAD: libraryPath(),
      FAKETIME_TIMESTAMP_FILE: offset,
      // Seconds between two reads of the file: a read for each call of a clock would slow the shop down.
      FAKETIME_CACHE_DURATION: '1',
      // Only the wall clock can be set on a real machine.
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
      WORKER_HANG_SECONDS: '5',
    },
  });
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  const first = await shop.metrics();

  let restarts = 0;
  for (const hours of [1, -1, 0]) {
    setClock((hours * HOUR_MS) / 1000);
    await until('the shop has the new time', async () => {
      const { headers } = await fetch(`${shop.opsUrl}/livez`);
      const ahead = Date.parse(headers.get('date') ?? '') - Date.now();
      return Math.abs(ahead - hours * HOUR_MS) < HOUR_MS / 2;
    });
    const { workers } = await shop.status();
    const before = await shop.metrics();
    let oldest = 0;
    // Long enough for the primary to find a hanging worker: it checks at least once for each of these scrapes.
    await until('it has watched for a while', async () => {
      const now = await shop.metrics();
      for (const worker of [1, 2]) {
        oldest = Math.max(oldest, now.of('shop_metrics_worker_age_seconds', { worker }));
      }
      const busiest = now.since(before).of('process_cpu_seconds_total');
      return busiest > 1.5;
    });
    assert.ok(oldest < OLD_SECONDS, `a worker is ${oldest} s old at ${hours} h`);
    assert.deepEqual((await shop.status()).workers, workers, 'none was taken for hung');

    await shopper.post('/add_to_cart/1', { quantity: 1 });
    const scrape = await shop.metrics();
    const known = scrape.samples.filter(({ name, labels, value }) => {
      return name === 'shop_db_operation_duration_seconds' && labels.quantile === '0.5' && !Number.isNaN(value);
    });
    assert.notDeepEqual(known, [], 'the window is not empty');

    process.kill(workers[0]?.pid as number, 'SIGKILL');
    restarts++;
    await until('its place is filled', async () => {
      const [now] = (await shop.status()).workers;
      return now?.restarts === restarts && now.state === 'serving';
    });
  }
  const last = await shop.metrics();
  assert.equal(last.since(first).of('shop_cart_additions_total'), 3);
  assert.equal(last.of('shop_worker_restarts_total'), restarts);
  assert.equal(last.of('shop_metrics_store_problems_total'), 0);
});
