import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Knex } from 'knex';
import { enterInstance } from '../../../src/cluster/instances.ts';
import { testDatabase } from '../../support/database.ts';
import { recordLog } from '../../support/log.ts';
import { whenDone } from '../../support/wait.ts';

const OLD = 'the key of last year long enough';
const NEW = 'the key of this year long enough';
const OTHER = 'the key of another folder long';

/** Starts an instance with these keys. @returns its number of warnings, and a function that ends it */
async function start(
  knex: Knex,
  ...sessionKeys: string[]
): Promise<{ warnings: string[]; leave: () => Promise<void> }> {
  const { log, lines } = recordLog('debug');
  return { warnings: lines, leave: await enterInstance(knex, { sessionKeys, log }) };
}

/** An instance that ends with the test. */
async function running(t: TestContext, knex: Knex, ...keys: string[]): Promise<string[]> {
  const { warnings, leave } = await start(knex, ...keys);
  whenDone(t, leave);
  return warnings;
}

test('an instance that shares no session key with the others logs a warning that says what to set', async (t) => {
  const { knex } = await testDatabase(t);
  assert.deepEqual(await running(t, knex, OLD), []);
  const warnings = await running(t, knex, OTHER);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /"level":40.*"instances":\["[^"]+:\d+"\].*SESSION_KEYS/);
  // No table holds the keys.
  const stored = JSON.stringify(await knex('instances').select());
  for (const key of [OLD, OTHER]) assert.ok(!stored.includes(key));
});

test('instances that share a session key, as during a rotation, log no warning', async (t) => {
  const { knex } = await testDatabase(t);
  for (const keys of [[OLD], [OLD], [NEW, OLD], [OLD, NEW]]) assert.deepEqual(await running(t, knex, ...keys), []);
});

test('instances that have left or have long been silent no longer count', async (t) => {
  const { knex } = await testDatabase(t);
  await (await start(knex, OLD)).leave();
  assert.deepEqual(await knex('instances').select(), []);
  await running(t, knex, OLD);
  await knex('instances').update({ seen_at: knex.raw("now() - interval '2 minutes'") });
  assert.deepEqual(await running(t, knex, NEW), []);
});

test('a shop that cannot keep its list of instances starts and stops as usual', async (t) => {
  const { knex } = await testDatabase(t);
  await knex.raw('drop table instances');
  const { warnings, leave } = await start(knex, OLD);
  await leave();
  assert.ok(warnings.every((line) => line.includes('"level":20')));
});
