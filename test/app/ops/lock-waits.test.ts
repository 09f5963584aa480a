import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Knex } from 'knex';
import { readLockWaits, watchLocks, withoutValues } from '../../../src/ops/live/lock-waits.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { recordLog } from '../../support/log.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until, whenDone } from '../../support/wait.ts';

/** Locks a product in a transaction that stays open. @returns ends it */
async function holdProduct(t: TestContext, knex: Knex, id: number): Promise<() => Promise<unknown>> {
  const transaction = await knex.transaction();
  whenDone(t, () => transaction.rollback());
  await transaction('products').where({ id }).forUpdate();
  return () => transaction.rollback();
}

test('who waits for a lock is read with who holds it, without values, and logged once', async (t) => {
  const { knex, connection } = await testDatabase(t);
  const shop = openPool(t, connection, { applicationName: 'shop', deadlines: PATIENT });
  const { log, lines } = recordLog('warn');
  const watch = watchLocks(knex, log);
  assert.deepEqual(await readLockWaits(knex), []);

  const release = await holdProduct(t, knex, 1);
  // A person's statement has its values in the text; one of the shop has them beside it.
  const typed = shop.raw("update products set description = 'Rua das Flores 123456' where id = 1");
  const sent = shop('products').where({ id: 1 }).update({ description: 'Rua das Flores 123456' });
  const waiting = Promise.all([typed, sent]);
  const waits = await until('both wait', async () => {
    const found = await readLockWaits(knex);
    return found.length >= 2 && found;
  });
  assert.deepEqual(waits.map(({ waiting }) => waiting.statement).sort(), [
    'update "products" set "description" = $1 where "id" = $2',
    'update products set description = …',
  ]);
  for (const { waiting, blocking } of waits) {
    assert.equal(waiting.application, 'shop');
    assert.ok(waiting.seconds >= 0);
    assert.ok(blocking.pid > 0);
  }
  const holder = waits.find(({ blocking }) => blocking.application === 'test')?.blocking;
  assert.equal(holder?.state, 'idle in transaction');
  assert.equal(holder?.statement, 'select * from "products" where "id" = $1 for update');

  await until('it is told', () => {
    watch.tick(2);
    return lines.length > 0;
  });
  const told = JSON.stringify(lines);
  assert.match(told, /a statement waits for a lock that another session holds/);
  assert.match(told, /for update/);
  assert.doesNotMatch(told, /Flores|123456/);
  assert.ok(watch.waits().length >= 2);
  for (let i = 0; i < 5; i++) {
    watch.tick(2);
    await watch.stop();
  }
  assert.equal(lines.length, 1, 'one line for ten seconds');

  await release();
  await waiting;
  watch.tick(0);
  assert.deepEqual(watch.waits(), []);
});

test('a role without special rights sees its own statements, and of the others their process', async (t) => {
  const { knex, url } = await testDatabase(t);
  const role = `plain_${randomUUID().replaceAll('-', '')}`;
  await knex.raw(`create role ${role} login password 'plain'; grant all on all tables in schema public to ${role}`);
  whenDone(t, () => knex.raw(`drop owned by ${role}; drop role ${role}`));
  const plainUrl = new URL(url);
  plainUrl.username = role;
  plainUrl.password = 'plain';
  const plain = openPool(t, { url: plainUrl.href }, { applicationName: 'plain', deadlines: PATIENT });
  const { log, lines } = recordLog('warn');
  const watch = watchLocks(plain, log);

  const release = await holdProduct(t, knex, 1);
  const waiting = plain('products').where({ id: 1 }).update({ stock: 5 });
  const finished = Promise.resolve(waiting);
  const [wait] = await until('it waits', async () => {
    const found = await readLockWaits(plain);
    return found.length > 0 && found;
  });
  assert.equal(wait?.waiting.statement, 'update "products" set "stock" = $1 where "id" = $2');
  assert.ok((wait?.blocking.pid ?? 0) > 0);
  const { state, statement, seconds } = wait?.blocking ?? {};
  assert.deepEqual([state, statement, seconds], ['', '', null]);
  await until('it is told', () => {
    watch.tick(1);
    return lines.length > 0;
  });
  await watch.stop();
  assert.equal(JSON.parse(lines[0] ?? '').blocking.pid, wait?.blocking.pid);
  await release();
  await finished;
});

test('a statement is shown without its values', () => {
  for (const [statement, shown] of [
    ['select "a1" from t2 where id = $12', 'select "a1" from t2 where id = $12'],
    ['select *\n  from orders limit 5', 'select * from orders limit ?'],
    ["update t set a = 'x' where b = 'y'", 'update t set a = …'],
    ["update t set a = 'it''s' , b = 2", 'update t set a = …'],
    ["insert into t values (1, E'a\\'b', 'c')", 'insert into t values (?, E …'],
    ['do $body$ secret $body$', 'do …'],
    ['select 1 -- for Ana\nfrom t', 'select ? …'],
    ['select /* Ana */ 1', 'select …'],
    ['select 4000000000000002', 'select ?'],
    ['', ''],
  ] as const) {
    assert.equal(withoutValues(statement), shown);
  }
  assert.ok(withoutValues(`select ${'a, '.repeat(1000)}`).length < 310);
});
