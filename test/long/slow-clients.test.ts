import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { watchLive } from '../support/live.ts';
import { startLoad, stopBystanders } from '../support/load.ts';
import { connectRaw, type RawClient } from '../support/raw-client.ts';
import { until } from '../support/wait.ts';

const SECOND = 1000;
/** Time between two bytes of a client that sends as slowly as it can. */
const DRIP_MS = 400;
/** Added to each limit for a busy machine. */
const SLACK_MS = 4 * SECOND;
const CLIENTS = 50;
const KEEP_ALIVE_SECONDS = 10;

const UPLOAD = 'POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n';

interface Slowness {
  what: string;
  begin(client: RawClient): Promise<unknown>;
  /** The next byte that the client sends, or nothing when it has stopped. */
  drop: string;
  limitMs: number;
  answer: RegExp;
}

const SLOW: Slowness[] = [
  {
    what: 'connects and says nothing',
    begin: async () => {},
    drop: '',
    limitMs: 10 * SECOND,
    answer: /^(HTTP\/1\.1 408 .*)?$/s,
  },
  {
    what: 'sends headers that never end',
    begin: (client) => client.send('GET / HTTP/1.1\r\nHost: x\r\n'),
    drop: 'X-Slow: y\r\n',
    limitMs: 10 * SECOND,
    answer: /^HTTP\/1\.1 408 /,
  },
  {
    what: 'stops in the middle of the headers',
    begin: (client) => client.send('GET / HTTP/1.1\r\nHos'),
    drop: '',
    limitMs: 10 * SECOND,
    answer: /^HTTP\/1\.1 408 /,
  },
  {
    what: 'stops in the middle of an upload',
    begin: (client) => client.send(`${UPLOAD}Content-Length: 5000\r\n\r\nfirst_name=A`),
    drop: '',
    limitMs: 15 * SECOND,
    answer: /^(HTTP\/1\.1 408 .*)?$/s,
  },
  {
    what: 'uploads letter by letter',
    begin: (client) => client.send(`${UPLOAD}Content-Length: 5000\r\n\r\n`),
    drop: 'a',
    limitMs: 15 * SECOND,
    answer: /^(HTTP\/1\.1 408 .*)?$/s,
  },
  {
    what: 'uploads in tiny chunks',
    begin: (client) => client.send(`${UPLOAD}Transfer-Encoding: chunked\r\n\r\n`),
    drop: '1\r\na\r\n',
    limitMs: 15 * SECOND,
    answer: /^(HTTP\/1\.1 408 .*)?$/s,
  },
  {
    what: 'keeps the connection after its answer, and says nothing more',
    begin: (client) => client.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'),
    drop: '',
    limitMs: (KEEP_ALIVE_SECONDS + 6) * SECOND,
    answer: /^HTTP\/1\.1 200 /,
  },
];

/** Enough answers of 80 kB to fill every buffer between the shop and a client that reads none. */
const UNREAD_ANSWERS = 99;
const UNREAD_CLIENTS = 5;
const UNREAD_LIMIT_MS = 31 * SECOND;
/** The share of the other clients' pages that must be served. A busy machine may refuse some. */
const MUST_SUCCEED = 0.99;

test('a slow client is cut by a limit, and other clients do not notice', { concurrency: true }, async (t) => {
  const shop = await startCluster(t, { workers: 2, env: { KEEP_ALIVE_SECONDS: String(KEEP_ALIVE_SECONDS) } });
  const before = await shop.metrics();
  const { workers } = await shop.status();
  const bystanders = startLoad(t, () => shop.shopUrl, '/detail/1', 2);

  await Promise.all([
    ...SLOW.map((slowness) => t.test(`a client that ${slowness.what}`, (t) => suffer(t, shop, slowness))),
    t.test('a client that takes no answer', (t) => takeNothing(t, shop)),
  ]);

  const statuses = await stopBystanders(t, bystanders);
  const asked = [...statuses.values()].reduce((sum, count) => sum + count, 0);
  assert.ok((statuses.get(200) ?? 0) >= asked * MUST_SUCCEED);

  await until('no client is connected', async () => (await peers(shop)).length === 0);
  await until('nothing is left in flight', async () => (await shop.metrics()).of('http_requests_in_flight') === 0);
  const change = (await shop.metrics()).since(before);
  for (const type of ['internal', 'worker_crash']) assert.equal(change.of('shop_errors_total', { type }), 0, type);
  // Every upload that was cut counts as one bad request without an answer.
  const uploads = { route: '/checkout' };
  assert.equal(change.of('http_request_duration_seconds_count', { ...uploads, status_code: 499 }), 3 * CLIENTS);
  assert.equal(change.of('shop_errors_total', { ...uploads, type: 'validation' }), 3 * CLIENTS);
  assert.equal(change.of('shop_errors_total', { ...uploads, type: 'database' }), 0);
  assert.deepEqual((await shop.status()).workers, workers);
});

async function suffer(t: TestContext, shop: RunningCluster, { begin, drop, limitMs, answer }: Slowness): Promise<void> {
  const clients = Array.from({ length: CLIENTS }, () => connectRaw(t, shop.shopUrl));
  const lives = await Promise.all(
    clients.map(async (client) => {
      await begin(client);
      const end = client.end(limitMs + SLACK_MS);
      while (drop !== '' && (await client.send(drop))) await sleep(DRIP_MS);
      return end;
    }),
  );
  t.diagnostic(`cut after ${Math.round(Math.min(...lives))} to ${Math.round(Math.max(...lives))} ms`);
  for (const client of clients) assert.match(client.answer(), answer);
}

async function takeNothing(t: TestContext, shop: RunningCluster): Promise<void> {
  const clients = Array.from({ length: UNREAD_CLIENTS }, () => connectRaw(t, shop.shopUrl));
  const ports = new Set<number>();
  for (const client of clients) {
    client.socket.pause();
    await client.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(UNREAD_ANSWERS));
    ports.add(client.socket.localPort as number);
  }
  const startedMs = performance.now();
  const open = async () => (await peers(shop)).filter((port) => ports.has(port)).length;
  await until('the shop has taken all', async () => (await open()) === UNREAD_CLIENTS);
  // A client that does not read receives no notice.
  await until('the shop has closed all connections', async () => (await open()) === 0, UNREAD_LIMIT_MS + SLACK_MS);
  t.diagnostic(`cut after ${Math.round(performance.now() - startedMs)} ms`);
}

/** Ports of the clients whose connections the shop holds, from `/proc/net/tcp` (proc(5)). */
async function peers(shop: RunningCluster): Promise<number[]> {
  const shopPort = Number(new URL(shop.shopUrl).port);
  const lines = (await readFile('/proc/net/tcp', 'utf8')).trim().split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, local = '', remote = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
    return portOf(local) === shopPort && state !== LISTEN && inode !== '0' ? [portOf(remote)] : [];
  });
}

const LISTEN = '0A';

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}

test('a stream of the live page lasts longer than the limit for answers', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const viewer = await watchLive(t, shop);
  const begunAt = viewer.frame().at;
  await until('35 seconds of the stream', () => viewer.frame().at - begunAt > 35 * SECOND);
  assert.ok(!viewer.ended());
});
