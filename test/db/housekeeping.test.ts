import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Knex } from 'knex';
import { removeOldSessions } from '../../src/db/housekeeping.ts';
import { testDatabase } from '../support/database.ts';

async function session(knex: Knex, age: string, cart?: 'open' | 'ordered'): Promise<string> {
  const id = randomUUID();
  await knex('sessions').insert({ id, last_seen_at: knex.raw('now() - ?::interval', [age]) });
  if (!cart) return id;
  const [row] = await knex('carts').insert({ session_id: id, status: cart }).returning<{ id: string }[]>('id');
  await knex('cart_items').insert({ cart_id: row?.id, product_id: 1, quantity: 1 });
  if (cart === 'ordered') {
    const text = Object.fromEntries(
      [
        'first_name',
        'last_name',
        'email',
        'mobile',
        'address1',
        'city',
        'state',
        'country',
        'zip',
        'payment_reference',
      ].map((name) => [name, name]),
    );
    const money = { subtotal_cents: 100, shipping_cents: 0, total_cents: 100 };
    await knex('orders').insert({ ...text, ...money, number: id, cart_id: row?.id, session_id: id, status: 'paid' });
  }
  return id;
}

test('sessions go when nobody will come back to them, with their carts; those with orders stay', async (t) => {
  const { knex } = await testDatabase(t);
  await session(knex, '25 hours');
  await session(knex, '31 days', 'open');
  const kept = [
    await session(knex, '22 hours'),
    await session(knex, '29 days', 'open'),
    await session(knex, '400 days', 'ordered'),
  ];

  assert.equal(await removeOldSessions(knex, { batch: 10 }), 2);

  assert.deepEqual((await knex('sessions').pluck('id')).sort(), kept.sort());
  assert.equal((await knex('cart_items').pluck('id')).length, 2);
  assert.equal(await removeOldSessions(knex, { batch: 10 }), 0);
});

test('one round removes all that may go, in batches, past those that stay', async (t) => {
  const { knex } = await testDatabase(t);
  for (let i = 0; i < 5; i++) {
    await session(knex, '400 days', 'ordered');
    await session(knex, `${40 + i} days`);
  }
  assert.equal(await removeOldSessions(knex, { batch: 2 }), 5);
  assert.equal((await knex('sessions').pluck('id')).length, 5);
});

test('a batch that can not be removed keeps no other', async (t) => {
  const { knex } = await testDatabase(t);
  const stuck = await session(knex, '3 days');
  await session(knex, '2 days');
  await knex.raw(`
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'stuck'; end $$;
    create trigger refuse before delete on sessions for each row when (old.id = '${stuck}') execute function refuse()`);
  await assert.rejects(removeOldSessions(knex, { batch: 1 }), /stuck/);
  assert.deepEqual(await knex('sessions').pluck('id'), [stuck]);
});

test('a visitor who comes back in this moment keeps the session', async (t) => {
  const { knex } = await testDatabase(t);
  const back = await session(knex, '2 days');
  await session(knex, '2 days');
  const visit = await knex.transaction();
  await visit('sessions').where('id', back).update({ last_seen_at: knex.fn.now() });
  assert.equal(await removeOldSessions(knex, { batch: 10 }), 1);
  await visit.commit();
  assert.deepEqual(await knex('sessions').pluck('id'), [back]);
});
