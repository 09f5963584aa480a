/*
 * What measuring a request costs: `npm run bench:page`. Two servers, each a process of its own, send the same page: one is
 * bare Koa, the other has the shop's middleware before it, with a store in a file. They are loaded in turns, so that
 * other programs disturb both alike. Counts processor time of the servers alone, their kernel's share and the garbage
 * collector included; a microbenchmark of the same calls sees half of it.
 *
 * `-- --starts=3` sets how many processes of each are measured, default 5.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createStoreDirectory, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import Koa from 'koa';
import { number, printTable } from '../packages/cluster-metrics/bench/table.ts';
import { followQueries, timeRequests } from '../src/instrument/http.ts';
import { instrumentKnex } from '../src/instrument/knex.ts';
import { createWorkerMetrics } from '../src/instrument/worker-metrics.ts';
import { quantile } from './statistics.ts';

/** Until the compiler has finished. */
const WARM_UP = 40_000;
const REQUESTS = 10_000;
/** Of each process. */
const TURNS = 3;
const CONNECTIONS = 16;

const ROUTE = '/detail/:id';
const PAGE = Buffer.alloc(6_000, 'mochila ');
const ID = randomUUID();
/** As many routes as the shop has, so that the values of one request lie as far apart in the store. */
const ROUTES = [ROUTE, ...Array.from({ length: 20 }, (_, i) => `/page-${i}`)].flatMap((route) =>
  ['GET', 'POST'].map((method) => ({ method, route, statuses: [200, 302, 404, 429, 503] })),
);
const TABLES = ['sessions', 'products', 'categories'];

const KINDS = ['bare', 'timed'] as const;
type Kind = (typeof KINDS)[number];

/** Emits the events of Knex and its pool for a query, each in its own turn of the event loop. */
function createTalkativeDatabase() {
  const pool = Object.assign(new EventEmitter(), {
    numUsed: () => 0,
    numFree: () => 0,
    numPendingAcquires: () => 0,
  });
  const knex = Object.assign(new EventEmitter(), { client: { pool } });
  const connections = Array.from({ length: 10 }, (_, i) => Object.assign(new EventEmitter(), { __knexUid: `${i}` }));
  let queries = 0;
  return {
    knex: knex as unknown as Knex,
    async query(table: string): Promise<void> {
      const id = queries++;
      const connection = connections[id % connections.length];
      const query = { __knexUid: connection?.__knexUid, __knexQueryUid: `${id}`, method: 'select', sql: '' };
      pool.emit('acquireRequest', id);
      pool.emit('acquireSuccess', id, connection);
      knex.emit('start', { _single: { table } });
      knex.emit('query', query);
      await new Promise((resolve) => setImmediate(resolve));
      knex.emit('query-response', [], query);
      pool.emit('release', connection);
    },
  };
}

/**
 * The server process: answers each message with the processor time that it has used, in microseconds.
 *
 * @param queryEvery each page of this number queries the database; Infinity: none
 */
async function serve(kind: Kind, queryEvery: number): Promise<void> {
  const database = createTalkativeDatabase();
  const app = new Koa();
  if (kind === 'timed') {
    const directory = createStoreDirectory({ name: 'bench' });
    const store = openStore({ directory: directory.path, worker: 1 });
    const metrics = createWorkerMetrics(new WorkerRegistry(store), {
      worker: '1',
      routes: ROUTES,
      poolMax: 10,
    });
    instrumentKnex(database.knex, metrics);
    app.use(timeRequests(metrics));
    process.once('exit', () => directory.remove());
  }
  let pages = 0;
  async function query(): Promise<void> {
    for (const table of TABLES) await database.query(table);
  }
  app.use(async function showPage(ctx) {
    ctx._matchedRoute = ROUTE;
    if (++pages % queryEvery === 0) await (kind === 'timed' ? followQueries(ctx, query) : query());
    ctx.type = 'html';
    ctx.body = PAGE;
    // As the shop's log does, which has the id anyway.
    if (kind === 'timed') ctx.state.exemplar = { request_id: ID };
  });
  // Connections wait while the other server has its turn.
  const server = createServer({ keepAliveTimeout: 0 }, app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.once('disconnect', () => process.exit());
  process.send?.((server.address() as AddressInfo).port);
}

/** Sends requests one after another on each of some connections that stay open. */
class Load {
  readonly #sockets: ReturnType<typeof connect>[] = [];
  #responseBytes = 0;

  async open(port: number): Promise<void> {
    for (let i = 0; i < CONNECTIONS; i++) {
      const socket = connect(port, '127.0.0.1').setNoDelay();
      await once(socket, 'connect');
      this.#sockets.push(socket);
    }
  }

  async run(requests: number): Promise<void> {
    let left = requests;
    await Promise.all(
      this.#sockets.map(
        (socket) =>
          new Promise<void>((resolve) => {
            const next = () => {
              if (left-- > 0) socket.write('GET /detail/1 HTTP/1.1\r\nHost: shop\r\nAccept: text/html\r\n\r\n');
              else {
                socket.off('data', received);
                resolve();
              }
            };
            let bytes = 0;
            const received = (chunk: Buffer) => {
              // All responses are equally long, and the first one came whole or with its head.
              if (this.#responseBytes === 0) this.#responseBytes = chunk.indexOf('\r\n\r\n') + 4 + PAGE.length;
              bytes += chunk.length;
              if (bytes < this.#responseBytes) return;
              bytes = 0;
              next();
            };
            socket.on('data', received);
            next();
          }),
      ),
    );
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

interface Server {
  readonly process: ChildProcess;
  readonly load: Load;
}

async function start(kind: Kind, queryEvery: number): Promise<Server> {
  const child = fork(fileURLToPath(import.meta.url), [kind, `${queryEvery}`]);
  const [port] = await once(child, 'message');
  const load = new Load();
  await load.open(port);
  await load.run(WARM_UP);
  return { process: child, load };
}

/** @returns microseconds of the server's processor time, and of the clock, for each request */
async function turn({ process: child, load }: Server): Promise<{ cpu: number; clock: number }> {
  const used = async (): Promise<number> => {
    child.send('');
    return (await once(child, 'message'))[0];
  };
  const before = await used();
  const startedMs = performance.now();
  await load.run(REQUESTS);
  const clock = ((performance.now() - startedMs) * 1000) / REQUESTS;
  return { cpu: ((await used()) - before) / REQUESTS, clock };
}

/**
 * Compares the two servers. Starts them anew several times: by the accidents of its memory and its compiler, one process
 * may be a tenth slower than the next.
 *
 * @returns a row of the table
 */
async function compare(title: string, queryEvery: number, starts: number): Promise<string[]> {
  const results: { bare: number; timed: number; ratio: number }[] = [];
  for (let i = 0; i < starts; i++) {
    const bare = await start('bare', queryEvery);
    const timed = await start('timed', queryEvery);
    for (let round = 0; round < TURNS; round++) {
      const a = await turn(bare);
      const b = await turn(timed);
      results.push({ bare: a.cpu, timed: b.cpu, ratio: a.clock / b.clock });
    }
    for (const { load, process: child } of [bare, timed]) {
      load.close();
      child.disconnect();
    }
  }
  const median = (read: (result: (typeof results)[0]) => number) => number(quantile(results.map(read), 0.5));
  return [
    title,
    median(({ bare }) => bare),
    median(({ timed }) => timed),
    median(({ bare, timed }) => timed - bare),
    median(({ ratio }) => ratio),
  ];
}

const [kind, queryEvery] = process.argv.slice(2);
if (process.send && KINDS.includes(kind as Kind)) await serve(kind as Kind, Number(queryEvery));
else {
  const { values } = parseArgs({ options: { starts: { type: 'string', default: '5' } } });
  const starts = Number(values.starts);
  printTable(
    `What measuring a request costs, Node.js ${process.versions.node}`,
    ['processor time, µs a request', 'bare Koa', 'measured', 'difference', 'throughput'],
    [
      await compare('no page queries', Number.POSITIVE_INFINITY, starts),
      await compare('one page of 100 has three queries', 100, starts),
      await compare('each page has three queries', 1, starts),
    ],
  );
}
