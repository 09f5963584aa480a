import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Knex } from 'knex';
import { foldSessionChanges, readSessions } from '../../../src/instrument/database-sampler.ts';
import { findReading, isFresh, type ReadingKind, takeReading } from '../../../src/instrument/shared-reading.ts';
import { addToCart, addToCarts, setQuantity } from '../../../src/shop/cart/queries.ts';
import { noteVisits } from '../../../src/shop/sessions/queries.ts';
import { noneIfLocked } from '../../../src/shop/share-statements.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until } from '../../support/wait.ts';

/** The right values, counted row by row. */
async function counted(knex: Knex): Promise<{ active: number; withCart: number }> {
  const { rows } = await knex.raw(`
    select
      count(*) filter (where last_seen_at > now() - interval '5 minutes') as active,
      count(*) filter (where last_seen_at > now() - interval '30 minutes' and exists (
        select from carts join cart_items on cart_items.cart_id = carts.id
        where carts.session_id = sessions.id and carts.status = 'open')) as "withCart"
    from sessions`);
  return rows[0];
}

const pick = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)] as T;

/** Ages so far from the limits that a slow test does not cross them. */
const AGES = ['0 seconds', '1 minute', '3 minutes', '10 minutes', '20 minutes', '50 minutes', '2 days'];

/** All changes of the counted rows, by the shop's own queries and by other statements. */
const CHANGES: ((knex: Knex, session: string, others: readonly string[]) => PromiseLike<unknown>)[] = [
  (knex, id) =>
    knex('sessions')
      .where({ id })
      .update({ last_seen_at: knex.raw('now() - ?::interval', [pick(AGES)]) }),
  (knex, id) => knex('sessions').where({ id }).update({ kept_until: 'infinity' }),
  (knex, id) => noteVisits(knex, [id]),
  (knex, id) => addToCart(knex, { sessionId: id, productId: pick([1, 2, 3]), quantity: 1 }),
  (knex, id) => addToCart(knex, { sessionId: id, productId: pick([1, 2, 3]), quantity: 99 }),
  (knex, _, others) =>
    addToCarts(
      knex,
      others.map((id) => ({ sessionId: id, productId: pick([1, 2, 3]), quantity: 1 })),
      'skip',
    ).catch(noneIfLocked),
  async (knex, id) => setQuantity(knex, id, await anItem(knex, id), 0),
  async (knex, id) => setQuantity(knex, id, await anItem(knex, id), 3),
  (knex, id) => knex('carts').where({ session_id: id, status: 'open' }).update({ status: 'ordered' }),
  (knex, id) => knex('carts').where({ session_id: id }).delete(),
  (knex, id) => knex('sessions').where({ id }).delete(),
  (knex, id) => knex('sessions').insert({ id }).onConflict('id').ignore(),
  (knex) => foldSessionChanges(knex),
];

const REFUSALS = /carts_session_id_fkey|cart_items_cart_id_fkey|deadlock detected/;

async function anItem(knex: Knex, session: string): Promise<number> {
  const item = await knex('cart_items')
    .join('carts', 'carts.id', 'cart_id')
    .where('session_id', session)
    .first('cart_items.id');
  return item?.id ?? 1;
}

test('the kept counts equal a full count after any changes', async (t) => {
  const { knex } = await testDatabase(t);
  const sessions = Array.from({ length: 12 }, () => randomUUID());
  await knex('sessions').insert(sessions.map((id) => ({ id })));
  for (let round = 0; round < 25; round++) {
    const changes = Array.from({ length: 12 }, () =>
      pick(CHANGES)(
        knex,
        pick(sessions),
        sessions.filter(() => Math.random() < 0.5),
      ),
    );
    // A session that another change has removed gets no cart; and of two changes that lock the same rows in different
    // orders, PostgreSQL ends one. A refused change must not be counted.
    for (const { status, reason } of (await Promise.allSettled(changes)) as PromiseRejectedResult[]) {
      if (status === 'rejected') assert.match(String(reason), REFUSALS);
    }
    assert.deepEqual(await readSessions(knex), await counted(knex));
  }
  await knex.raw(
    'insert into sessions (id, last_seen_at) select gen_random_uuid(), now() from generate_series(1, 30000)',
  );
  await knex.raw("update sessions set last_seen_at = now() - interval '1 minute'");
  for (let fold = 0; fold < 5; fold++) {
    await foldSessionChanges(knex);
    assert.deepEqual(await readSessions(knex), await counted(knex));
  }
  assert.equal((await knex('session_changes').first(knex.raw('count(*)'))).count, 0);
  await knex('sessions').delete();
  assert.deepEqual(await readSessions(knex), { active: 0, withCart: 0 });
});

test('rows that are older than the counts are counted', async (t) => {
  const { knex } = await testDatabase(t);
  const { down, up } = await import('../../../src/db/migrations/0004-session-counts.ts');
  await knex.transaction(down);
  const [id, other] = [randomUUID(), randomUUID()];
  await knex('sessions').insert([{ id }, { id: other, last_seen_at: knex.raw("now() - interval '10 minutes'") }]);
  const [cart] = await knex('carts').insert({ session_id: other }).returning('id');
  await knex('cart_items').insert({ cart_id: cart.id, product_id: 1, quantity: 1 });
  await knex.transaction(up);
  assert.deepEqual(await readSessions(knex), { active: 1, withCart: 1 });
});

const TEST: ReadingKind = { name: 'test', freshMs: 400 };

/** As many instances as asked, each with a pool of its own. */
function instances(t: TestContext, url: string, count: number): Knex[] {
  return Array.from({ length: count }, () => {
    return openPool(t, { url }, { poolMax: 1, deadlines: PATIENT });
  });
}

test('one of many instances takes a reading, and all instances have it', async (t) => {
  const { url, knex } = await testDatabase(t);
  const all = instances(t, url, 8);
  let taken = 0;
  let most = 0;
  let atOnce = 0;
  async function take(): Promise<number> {
    atOnce += 1;
    most = Math.max(most, atOnce);
    await knex.raw('select 1');
    atOnce -= 1;
    return ++taken;
  }
  // All instances begin at the same moment when there is no reading yet, when it is due again, and when it lies in the future.
  for (const due of [null, "now() - interval '1 minute'", "now() + interval '1 hour'"]) {
    if (due) await knex('gauge_readings').update({ taken_at: knex.raw(due) });
    const before = taken;
    await Promise.all(all.map((instance) => takeReading(instance, TEST, take)));
    const readings = await Promise.all(all.map((instance) => findReading<number>(instance, TEST)));
    for (const found of readings) {
      assert.equal(found?.reading, taken);
      assert.ok(found && found.ageMs >= 0);
    }
    // A machine that stands still for longer than a reading is fresh takes more than one, but never two at a time.
    assert.ok(taken > before);
    assert.equal(most, 1);
  }
  await until('a reading that is no longer fresh', async () => {
    const found = await findReading(knex, TEST);
    return found && !isFresh(found, TEST);
  });
});

test('an instance that dies while it takes a reading leaves it to the next instance', async (t) => {
  const { url, knex } = await testDatabase(t);
  const [dying, next] = instances(t, url, 2) as [Knex, Knex];
  const dies = takeReading(dying, TEST, async (transaction) => {
    const { rows } = await transaction.raw('select pg_backend_pid() as pid');
    await knex.raw('select pg_terminate_backend(?)', [rows[0].pid]);
    return transaction.raw('select 1');
  });
  await assert.rejects(dies);
  await until('the next has it', () => takeReading(next, TEST, () => Promise.resolve(7)));
  assert.equal((await findReading<number>(knex, TEST))?.reading, 7);
});
