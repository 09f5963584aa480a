import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, chownSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCluster } from '../../support/cluster.ts';
import { openPool } from '../../support/database.ts';
import { allSettled, assertMoneyAddsUp } from '../../support/payments.ts';
import { temporaryFolder } from '../../support/system.ts';
import { PATIENT } from '../../support/test-server.ts';
import { CUSTOMER } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';
import { startOwnServer } from './server.ts';

const DISK = '64m';
const SHOPPERS = 10;

test('a full disk of the database is reported, no payment is asked for, and the shop recovers with the space', async (t) => {
  const server = await startOwnServer(t);
  const admin = openPool(t, server, { poolMax: 1, deadlines: PATIENT });
  const disk = await temporaryFolder(t);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', disk], { encoding: 'utf8' });
  assert.equal(mounted.status, 0, `this test needs the right to mount a small disk: ${mounted.stderr}`);
  whenDone(t, () => spawnSync('umount', [disk]));
  const { rows } = await admin.raw('show data_directory');
  const { uid, gid } = statSync(rows[0].data_directory);
  chownSync(disk, uid, gid);
  await admin.raw(`create tablespace small location '${disk}'`);
  whenDone(t, () => admin.raw('drop tablespace small'));
  await admin.raw('create database shop template template0 tablespace small');
  whenDone(t, () => admin.raw('drop database shop with (force)'));
  const url = new URL(server.url);
  url.pathname = '/shop';

  const shop = await startCluster(t, { workers: 2, database: { url: url.href } });
  const knex = openPool(t, { url: url.href }, { poolMax: 1, deadlines: PATIENT });
  const shoppers = Array.from({ length: SHOPPERS }, () => shop.visitor());
  for (const shopper of shoppers) {
    assert.equal((await shopper.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  }
  assert.equal((await shop.metrics()).of('shop_db_disk_full'), 0);

  const filler = join(disk, 'filler');
  assert.throws(
    () => {
      for (;;) appendFileSync(filler, Buffer.alloc(4096));
    },
    { code: 'ENOSPC' },
  );
  for (const shopper of shoppers) {
    const refused = await shopper.post('/checkout', CUSTOMER);
    assert.equal(refused.status, 503);
    assert.match(refused.text, /problema passageiro/);
    assert.equal((await shopper.get('/cart')).status, 200, 'a page that writes nothing is served');
  }
  assert.deepEqual(await knex('simulated_provider_payments'), []);
  assert.deepEqual(await knex('payments'), []);
  await until('the metrics show it', async () => (await shop.metrics()).of('shop_db_disk_full') === 1);
  const told = shop
    .output()
    .split('\n')
    .filter((line) => line.includes("database's disk is full"));
  assert.ok(told.length > 0 && told.every((line) => JSON.parse(line).level === 50), told.join('\n'));

  rmSync(filler);
  for (const shopper of shoppers) {
    await until('it is ordered', async () => (await shopper.post('/checkout', CUSTOMER)).status === 302);
  }
  await until('the metrics show it', async () => (await shop.metrics()).of('shop_db_disk_full') === 0);
  await allSettled(knex);
  assert.equal((await assertMoneyAddsUp(knex)).ordered, SHOPPERS);
});
