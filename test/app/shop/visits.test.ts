import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { createVisits } from '../../../src/shop/sessions/visits.ts';
import { startCluster } from '../../support/cluster.ts';
import { fillDisk, openPool, testDatabase } from '../../support/database.ts';
import { recordLog, silentLog } from '../../support/log.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until, whenDone } from '../../support/wait.ts';

/** What one worker holds at most. */
const MOST_WAITING = 10_000;

function newIds(count: number): string[] {
  return Array.from({ length: count }, () => randomUUID());
}

test('visits are written soon, the last ones at the end, and sessions without a row are stored', async (t) => {
  const { knex } = await testDatabase(t);
  const [fresh, old, unknown, last] = newIds(4) as [string, string, string, string];
  const anHourAgo = knex.raw("now() - interval '1 hour'");
  await knex('sessions').insert([{ id: fresh }, { id: old, last_seen_at: anHourAgo }]);
  const before = await knex('sessions').where('id', fresh).first();

  const visits = createVisits(knex, silentLog);
  for (const id of [fresh, old, unknown]) assert.equal(visits.note(id), true);
  await until('they are written', () => knex('sessions').where('id', unknown).first());
  assert.ok(await knex('sessions').where('id', old).whereRaw("last_seen_at > now() - interval '1 minute'").first());
  assert.deepEqual(await knex('sessions').where('id', fresh).first(), before);

  visits.note(last);
  await visits.stop();
  assert.ok(await knex('sessions').where('id', last).first());
});

test('a worker that is told to go writes the visits that wait', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const shop = await startCluster(t, { workers: 1, database: connection });
  const visitor = shop.visitor();
  for (const path of ['/contact', '/contact']) await visitor.get(path);
  assert.equal((await shop.stop()).code, 0);
  assert.equal((await knex('sessions')).length, 1);
});

test('a worker holds a bounded number of visits, and tells which it could not take', async (t) => {
  const { knex } = await testDatabase(t);
  const visits = createVisits(knex, silentLog);
  const ids = newIds(MOST_WAITING);
  for (const id of ids) assert.equal(visits.note(id), true);
  assert.equal(visits.note(randomUUID()), false);
  assert.equal(visits.note(ids[0] as string), true);
  // A stop alone would wait for half a second, in which a busy machine does not write them all.
  await until('all are written', async () => {
    const { rows } = await knex.raw('select count(*) from sessions');
    assert.ok(rows[0].count <= MOST_WAITING);
    return rows[0].count === MOST_WAITING;
  });
  await visits.stop();
});

test('workers that write the same visitors at the same time never wait for each other in a circle', async (t) => {
  const { url, knex } = await testDatabase(t);
  const { log, lines } = recordLog('warn');
  const ids = newIds(500);
  const workers = Array.from({ length: 4 }, () => openPool(t, { url }, { poolMax: 1, deadlines: PATIENT }));
  for (let round = 0; round < 10; round++) {
    await knex('sessions').update({ last_seen_at: knex.raw("now() - interval '1 hour'") });
    const all = workers.map((worker) => createVisits(worker, log));
    for (const [w, visits] of all.entries()) {
      for (const id of w % 2 ? ids : ids.toReversed()) visits.note(id);
    }
    await Promise.all(all.map((visits) => visits.stop()));
    const seen = await knex('sessions').whereRaw("last_seen_at > now() - interval '1 minute'").pluck('id');
    assert.deepEqual(seen.sort(), [...ids].sort());
  }
  assert.deepEqual(lines, []);
});

test('visits that cannot be written are lost and logged once, and later ones are written', async (t) => {
  const { knex } = await testDatabase(t);
  const { log, lines } = recordLog();
  const emptyDisk = await fillDisk(knex, 'sessions');
  let failures = 0;
  knex.on('query-error', () => {
    failures += 1;
  });
  const visits = createVisits(knex, log);
  whenDone(t, () => visits.stop());
  const [lost, alsoLost, written] = newIds(3) as [string, string, string];
  visits.note(lost);
  await until('the first batch has failed', () => failures === 1);
  visits.note(alsoLost);
  await until('the second batch has failed', () => failures === 2);
  await emptyDisk();
  visits.note(written);
  await until('it is written', () => knex('sessions').where('id', written).first());
  assert.deepEqual(await knex('sessions').pluck('id'), [written]);
  await until('the log has told the end', () => lines.length === 2);
  assert.match(lines[0] ?? '', /visits could not be noted/);
  assert.match(lines[1] ?? '', /visits are noted again/);
});

test('a drain does not write visits while writing fails', async (t) => {
  const { knex } = await testDatabase(t);
  await fillDisk(knex, 'sessions');
  let failures = 0;
  knex.on('query-error', () => {
    failures += 1;
  });
  const visits = createVisits(knex, silentLog);
  const [first, last] = newIds(2) as [string, string];
  visits.note(first);
  await until('writing has failed', () => failures === 1);
  visits.note(last);
  await visits.stop();
  assert.equal(failures, 1);
});

test('a drain does not wait for visits that are written slowly', async (t) => {
  const { url, knex } = await testDatabase(t);
  const { log, lines } = recordLog('warn');
  const visits = createVisits(openPool(t, { url }, { deadlines: PATIENT }), log);
  const lock = await knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table sessions in access exclusive mode');
  const waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  const [first, last] = newIds(2) as [string, string];
  visits.note(first);
  await until('a write waits for the lock', async () => (await knex.raw(waiting)).rows.length === 1);
  visits.note(last);
  await visits.stop();
  assert.equal((await knex.raw(waiting)).rows.length, 1, 'it still waits');
  assert.match(lines.join(), /visits could not be noted/);
});
