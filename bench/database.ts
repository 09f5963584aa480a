/**
 * Measures the cost of the database gauges: `npm run bench:database`.
 *
 * Fills an embedded PostgreSQL with sessions and carts. Then compares reading the kept counts with counting rows, and
 * adding to a cart with and without the triggers that keep the counts. Both sides of a pair alternate, so that other
 * load on the machine affects both.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { pino } from 'pino';
import { number, printTable } from '../packages/cluster-metrics/bench/table.ts';
import { connect, prepareDatabase, startEmbeddedPostgres } from '../src/db/index.ts';
import * as sessionCounts from '../src/db/migrations/0004-session-counts.ts';
import { foldAndReadShop, readSessions } from '../src/instrument/database-sampler.ts';
import { addToCart } from '../src/shop/cart/queries.ts';
import { noteVisits } from '../src/shop/sessions/queries.ts';

const SESSIONS = 1_000_000;
const CARTS = 250_000;
const READINGS = 20;
const ADDS = 1_500;

const MINUTE = 60_000;
const PATIENT = {
  acquire: 10 * MINUTE,
  connect: MINUTE,
  statement: 10 * MINUTE,
  answer: 10 * MINUTE,
  idleInTransaction: 10 * MINUTE,
};
const log = pino({ level: 'error' });

/** The query that counts rows, as used before there were kept counts. */
const COUNTED_ONE_BY_ONE = `
  select
    (select count(*) from sessions where last_seen_at > now() - interval '5 minutes') as active,
    (select count(*) from sessions where last_seen_at > now() - interval '30 minutes' and exists (
      select from carts join cart_items on cart_items.cart_id = carts.id
      where carts.session_id = sessions.id and carts.status = 'open')) as "withCart"`;

const dataDir = await mkdtemp(join(tmpdir(), 'fake-shop-bench-'));
const postgres = await startEmbeddedPostgres({ dataDir, log });
try {
  await prepareDatabase(postgres.connection, { log });
  const knex = connect(postgres.connection, { poolMax: 1, applicationName: 'bench', log, deadlines: PATIENT });
  try {
    await measure(knex);
  } finally {
    await knex.destroy();
  }
} finally {
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
}

async function measure(knex: Knex): Promise<void> {
  await knex.transaction(sessionCounts.down);
  await fillDatabase(knex);
  console.log(`${SESSIONS} sessions, ${CARTS} of them with a cart, all active`);
  const migration = await milliseconds(() => knex.transaction(sessionCounts.up));
  console.log(`the migration that begins to count took ${(migration / 1000).toFixed(1)} s`);
  await knex.raw('vacuum analyze');

  const counting = () => knex.raw(COUNTED_ONE_BY_ONE);
  const [kept, whole, one] = await medians(READINGS, [
    () => readSessions(knex),
    () => knex.transaction((transaction) => foldAndReadShop(transaction, null, null)),
    counting,
  ]);
  const [shown, truth] = [await readSessions(knex), (await counting()).rows[0]];
  printTable(
    'Reading the gauges, median in ms',
    ['', 'ms'],
    [
      ['sessions and carts counted one by one', number(one)],
      ['the kept counts', number(kept)],
      ['the whole reading, with its transaction', number(whole)],
    ],
  );
  console.log(`kept ${JSON.stringify(shown)}, counted ${JSON.stringify(truth)}`);

  const [withTriggers, without] = await addsSideBySide(knex);
  const change = ((withTriggers - without) / without) * 100;
  printTable(
    'Two visits with an add to the cart each, median in ms',
    ['', 'ms'],
    [
      ['without kept counts', number(without)],
      ['with kept counts', number(withTriggers)],
      ['change', `${change.toFixed(1)} %`],
    ],
  );
}

/** In the future, so that all sessions are still active when a slow machine reads them. */
async function fillDatabase(knex: Knex): Promise<void> {
  await knex.raw(
    `insert into sessions (id, last_seen_at)
     select gen_random_uuid(), now() + random() * interval '4 minutes' from generate_series(1, ?::int)`,
    [SESSIONS],
  );
  await knex.raw('insert into carts (session_id) select id from sessions limit ?', [CARTS]);
  await knex.raw('insert into cart_items (cart_id, product_id, quantity) select id, 1 + random() * 20, 1 from carts');
}

/** Adds twice to each session's cart. Commits are durable. */
async function addsSideBySide(knex: Knex): Promise<[withTriggers: number, without: number]> {
  const shoppers = await knex('sessions')
    .whereNotExists(knex('carts').whereRaw('carts.session_id = sessions.id'))
    .limit(ADDS * 2)
    .pluck<string[]>('id');
  // Old enough that the visit is noted, which changes the counts too.
  await knex('sessions')
    .whereIn('id', shoppers)
    .update({ last_seen_at: knex.raw("now() - interval '1 minute'") });
  const times: Record<'enable' | 'disable', number[]> = { enable: [], disable: [] };
  for (let i = 0; i < ADDS; i += 100) {
    for (const mode of ['enable', 'disable'] as const) {
      for (const table of ['sessions', 'carts', 'cart_items'])
        await knex.raw(`alter table ?? ${mode} trigger user`, [table]);
      for (let j = 0; j < 100; j++) {
        const id = shoppers.pop() as string;
        times[mode].push(
          await milliseconds(async () => {
            for (const product of [1, 2]) {
              await noteVisits(knex, [id]);
              await addToCart(knex, { sessionId: id, productId: product, quantity: 1 });
            }
          }),
        );
      }
    }
  }
  for (const table of ['sessions', 'carts', 'cart_items'])
    await knex.raw('alter table ?? enable trigger user', [table]);
  return [median(times.enable), median(times.disable)];
}

async function medians(rounds: number, works: (() => Promise<unknown>)[]): Promise<[number, number, number]> {
  const times = works.map((): number[] => []);
  for (let i = 0; i < rounds; i++) {
    for (const [w, work] of works.entries()) times[w]?.push(await milliseconds(work));
  }
  return times.map(median) as [number, number, number];
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
