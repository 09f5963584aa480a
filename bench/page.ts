/*
 * Cost of instrumenting a page with three queries: `npm run bench:page`. It includes the middleware, the events of Knex
 * and its pool, the crash-safe write, and AsyncLocalStorage, which slows all promises.
 */
import { EventEmitter } from 'node:events';
import { createStoreDirectory, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import type { Context } from 'koa';
import { number } from '../packages/cluster-metrics/bench/table.ts';
import { timeRequests } from '../src/instrument/http.ts';
import { instrumentKnex } from '../src/instrument/knex.ts';
import { createWorkerMetrics } from '../src/instrument/worker-metrics.ts';

const ROUNDS = 30;
const PAGES = 2_000;
const TABLES = ['sessions', 'products', 'categories'];
const PRODUCTS = Array.from({ length: 24 }, (_, i) => `product-${i}`);
const ROUTE = '/detail/:id';

/** Emits the events of Knex and its pool for a query, each in its own turn of the event loop. */
function createTalkativeDatabase() {
  const pool = Object.assign(new EventEmitter(), {
    numUsed: () => 0,
    numFree: () => 0,
    numPendingAcquires: () => 0,
  });
  const knex = Object.assign(new EventEmitter(), { client: { pool } });
  const connection = Object.assign(new EventEmitter(), { __knexUid: 'connection' });
  let queries = 0;
  return {
    knex: knex as unknown as Knex,
    async page(): Promise<void> {
      for (const table of TABLES) {
        const query = { __knexUid: connection.__knexUid, __knexQueryUid: `${queries++}`, method: 'select', sql: '' };
        pool.emit('acquireRequest', queries);
        pool.emit('acquireSuccess', queries, connection);
        knex.emit('start', { _single: { table } });
        knex.emit('query', query);
        await nextTurn();
        knex.emit('query-response', [], query);
        pool.emit('release', connection);
        await nextTurn();
      }
    },
  };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** Microseconds per page in the fastest round, the one that other processes disturbed least. */
async function shortest(page: () => Promise<void>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    for (let i = 0; i < PAGES; i++) await page();
    best = Math.min(best, ((performance.now() - startedAt) * 1_000) / PAGES);
  }
  return best;
}

const directory = createStoreDirectory({ name: 'bench' });
const store = openStore({ directory: directory.path, worker: 1 });
const metrics = createWorkerMetrics(new WorkerRegistry(store), {
  worker: '1',
  products: PRODUCTS,
  routes: [{ method: 'GET', route: ROUTE, statuses: [200] }],
  poolMax: 10,
});
const database = createTalkativeDatabase();
const context = {
  method: 'GET',
  status: 200,
  _matchedRoute: ROUTE,
  body: '',
  response: { length: 12_345 },
  res: { destroyed: false, writableEnded: false },
} as unknown as Context;

const bare = await shortest(database.page);
const stopInstrumenting = instrumentKnex(database.knex, metrics);
const timed = timeRequests(metrics);
const measured = await shortest(() => timed(context, database.page) as Promise<void>);
stopInstrumenting();
store.close();
directory.remove();
console.log(`Measuring a page with three queries: ${number(measured - bare)} µs`);
