import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Knex } from 'knex';
import { removeEndedRateLimits, removeOldPix, removeOldSessions } from '../../../src/db/cleanup.ts';
import { testDatabase } from '../../support/database.ts';

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

test('sessions whose cookie has expired are removed with their carts, and sessions with orders stay', async (t) => {
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

test('one round removes all expired sessions in batches and skips those that stay', async (t) => {
  const { knex } = await testDatabase(t);
  for (let i = 0; i < 5; i++) {
    await session(knex, '400 days', 'ordered');
    await session(knex, `${40 + i} days`);
  }
  assert.equal(await removeOldSessions(knex, { batch: 2 }), 5);
  assert.equal((await knex('sessions').pluck('id')).length, 5);
});

test('a batch that cannot be removed does not stop the other batches', async (t) => {
  const { knex } = await testDatabase(t);
  const stuck = await session(knex, '3 days');
  await session(knex, '2 days');
  await knex.raw(`
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'stuck'; end $$;
    create trigger refuse before delete on sessions for each row when (old.id = '${stuck}') execute function refuse()`);
  await assert.rejects(removeOldSessions(knex, { batch: 1 }), /stuck/);
  assert.deepEqual(await knex('sessions').pluck('id'), [stuck]);
});

test('a visitor who comes back during the removal keeps the session', async (t) => {
  const { knex } = await testDatabase(t);
  const back = await session(knex, '2 days');
  await session(knex, '2 days');
  const visit = await knex.transaction();
  await visit('sessions').where('id', back).update({ last_seen_at: knex.fn.now() });
  assert.equal(await removeOldSessions(knex, { batch: 10 }), 1);
  await visit.commit();
  assert.deepEqual(await knex('sessions').pluck('id'), [back]);
});

/** Rows of `sessions` that this connection has read. */
async function rowsRead(knex: Knex): Promise<number> {
  const { rows } = await knex.raw(
    `select coalesce(seq_tup_read + idx_tup_fetch, 0)::int as read from pg_stat_xact_user_tables where relname = 'sessions'`,
  );
  return rows[0].read;
}

test('the cost of a round depends on what it removes, not on how many sessions stay', async (t) => {
  const { knex } = await testDatabase(t);
  for (let i = 0; i < 3; i++) await session(knex, '400 days', 'ordered');
  await session(knex, '5 days', 'open');
  await knex.raw(`
    with old as (insert into sessions (id, last_seen_at) select gen_random_uuid(), now() - interval '400 days' from generate_series(1, 4000) returning id),
      cart as (insert into carts (session_id, status) select id, 'ordered' from old returning id, session_id)
    insert into orders (cart_id, session_id, number, status, subtotal_cents, shipping_cents, total_cents, first_name,
      last_name, email, mobile, address1, city, state, country, zip, payment_reference)
    select id, session_id, id::text, 'paid', 1, 0, 1, '', '', '', '', '', '', '', '', '', '' from cart`);
  await knex.raw('analyze sessions');
  // Each session is read once: many with the same time are no reason to sort them all.
  assert.equal(await removeOldSessions(knex, { batch: 500 }), 0);

  await session(knex, '2 days');
  await session(knex, '31 days', 'open');
  const ids = await knex.transaction(async (transaction) => {
    const before = await rowsRead(transaction);
    assert.equal(await removeOldSessions(transaction, { batch: 500 }), 2);
    const read = (await rowsRead(transaction)) - before;
    assert.ok(read < 100, `${read} rows were read`);
    return transaction('sessions').pluck('id');
  });
  assert.equal(ids.length, 4004);
});

test('a session with a cart is checked again when its cookie has expired, and stays if its visitor came back', async (t) => {
  const { knex } = await testDatabase(t);
  const [gone, back, bought] = [
    await session(knex, '29 days', 'open'),
    await session(knex, '29 days', 'open'),
    await session(knex, '29 days', 'open'),
  ];
  assert.equal(await removeOldSessions(knex, { batch: 10 }), 0);
  const later = (id: string, age: string) =>
    knex('sessions')
      .where({ id })
      .update({
        last_seen_at: knex.raw('now() - ?::interval', [age]),
        kept_until: knex.raw("now() - interval '1 hour'"),
      });
  await later(gone, '31 days');
  await later(back, '1 hour');
  await later(bought, '3 days');
  assert.equal(await removeOldSessions(knex, { batch: 10 }), 1);
  const kept = await knex('sessions').orderBy('last_seen_at').select('id', 'kept_until');
  assert.deepEqual(
    kept.map(({ id }) => id),
    [bought, back],
  );
  // The next check is due when the cookie of the last visit expires. A recent session counts as never checked.
  assert.ok(kept[0].kept_until > new Date());
  assert.equal(kept[1].kept_until, null);
});

test('ended windows of the rate limit are removed, and the others stay', async (t) => {
  const { knex } = await testDatabase(t);
  const window = (address: string, ends: string) =>
    knex('rate_limits').insert({ address, posts: 1, window_ends_at: knex.raw('now() + ?::interval', [ends]) });
  for (let i = 0; i < 5; i++) await window(`10.0.0.${i}`, '-1 second');
  await window('10.0.1.0', '1 minute');
  await removeEndedRateLimits(knex, { batch: 2 });
  assert.deepEqual(await knex('rate_limits').pluck('address'), ['10.0.1.0']);
});

test('charges by Pix are removed a day after their expiry, unless they are still open', async (t) => {
  const { knex } = await testDatabase(t);
  const charges = [
    { reference: 'old', expired: '25 hours' },
    { reference: 'older', expired: '40 days' },
    { reference: 'new', expired: '23 hours' },
    { reference: 'open', expired: '25 hours', new_order: {} },
  ];
  for (const { reference, expired, new_order = null } of charges) {
    await knex('payments').insert({
      reference,
      cart_id: randomUUID(),
      amount_cents: 500,
      method: 'pix',
      state: 'cancelled',
      worker: 'gone',
    });
    await knex('pix_charges').insert({
      reference,
      session_id: randomUUID(),
      br_code: 'code',
      expires_at: knex.raw('now() - ?::interval', [expired]),
      new_order,
      new_items: '[]',
    });
  }
  await removeOldPix(knex, { batch: 1 });
  assert.deepEqual((await knex('pix_charges').pluck('reference')).sort(), ['new', 'open']);
  assert.equal((await knex('payments')).length, charges.length, 'the ledger stays');
});
