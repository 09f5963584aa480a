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
    await session(knex, '23 hours'),
    await session(knex, '29 days', 'open'),
    await session(knex, '400 days', 'ordered'),
  ];

  assert.equal(await removeOldSessions(knex), 2);

  assert.deepEqual((await knex('sessions').pluck('id')).sort(), kept.sort());
  assert.equal((await knex('cart_items').pluck('id')).length, 2);
  assert.equal(await removeOldSessions(knex), 0);
});
