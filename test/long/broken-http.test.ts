import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { startLoad, stopBystanders } from '../support/load.ts';
import { connectRaw, type RawClient } from '../support/raw-client.ts';
import { until } from '../support/wait.ts';

const GIGABYTE = 2 ** 30;
const CHUNK = 64 * 1024;
const FORM = 'Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\n';

interface Attack {
  what: string;
  attack(client: RawClient): Promise<unknown>;
  /** The whole answer when the connection has ended. */
  answer: RegExp;
}

const ATTACKS: Attack[] = [
  {
    what: 'a header without end',
    attack: async (client) => {
      await client.send('GET / HTTP/1.1\r\nHost: x\r\nX-Endless: ');
      return sendUpTo(client, GIGABYTE, 'y'.repeat(CHUNK));
    },
    answer: /^(HTTP\/1\.1 431 .*)?$/s,
  },
  {
    what: 'headers without end',
    attack: async (client) => {
      await client.send('GET / HTTP/1.1\r\nHost: x\r\n');
      return sendUpTo(client, GIGABYTE, 'X-One-More: y\r\n'.repeat(CHUNK / 16));
    },
    answer: /^(HTTP\/1\.1 431 .*)?$/s,
  },
  {
    what: 'an address without end',
    attack: async (client) => {
      await client.send('GET /');
      return sendUpTo(client, GIGABYTE, 'y'.repeat(CHUNK));
    },
    answer: /^(HTTP\/1\.1 431 .*)?$/s,
  },
  ...['POST /checkout', 'POST /nowhere', 'POST /add_to_cart/1', 'PUT /cart', 'GET /shop', 'GET /livez'].flatMap(
    (request): Attack[] => [
      {
        what: `a gigabyte with ${request}, declared`,
        attack: async (client) => {
          await client.send(`${request} HTTP/1.1\r\n${FORM}Content-Length: ${GIGABYTE}\r\n\r\n`);
          return sendUpTo(client, GIGABYTE, 'y'.repeat(CHUNK));
        },
        answer: /^(HTTP\/1\.1 (413|404|405|200) .*)?$/s,
      },
      {
        what: `a gigabyte with ${request}, in chunks`,
        attack: async (client) => {
          await client.send(`${request} HTTP/1.1\r\n${FORM}Transfer-Encoding: chunked\r\n\r\n`);
          return sendUpTo(client, GIGABYTE, `${CHUNK.toString(16)}\r\n${'y'.repeat(CHUNK)}\r\n`);
        },
        answer: /^(HTTP\/1\.1 (413|404|405|200) .*)?$/s,
      },
    ],
  ),
  {
    what: 'a chunk whose length is no number',
    attack: (client) => client.send(`POST /checkout HTTP/1.1\r\n${FORM}Transfer-Encoding: chunked\r\n\r\nzz\r\nab`),
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    what: 'a chunk that is longer than it says',
    attack: (client) => client.send(`POST /checkout HTTP/1.1\r\n${FORM}Transfer-Encoding: chunked\r\n\r\n1\r\nabcdef`),
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    what: 'a chunk whose length overflows',
    attack: (client) =>
      client.send(`POST /checkout HTTP/1.1\r\n${FORM}Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(40)}\r\nab`),
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    what: 'chunk extensions without end',
    attack: async (client) => {
      await client.send(`POST /checkout HTTP/1.1\r\n${FORM}Transfer-Encoding: chunked\r\n\r\n1;`);
      return sendUpTo(client, GIGABYTE, 'y'.repeat(CHUNK));
    },
    answer: /^(HTTP\/1\.1 413 .*)?$/s,
  },
  {
    what: 'a length and chunks at once',
    attack: (client) =>
      client.send(
        `POST /checkout HTTP/1.1\r\n${FORM}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n`,
      ),
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    what: 'two lengths',
    attack: (client) =>
      client.send(`POST /checkout HTTP/1.1\r\n${FORM}Content-Length: 4\r\nContent-Length: 9\r\n\r\na=1&b=2&c`),
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    what: 'a length that is no number',
    attack: (client) => client.send(`POST /checkout HTTP/1.1\r\n${FORM}Content-Length: 0x10\r\n\r\na=1`),
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    what: 'garbage behind a good request',
    attack: (client) => client.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n\0\x01garbage garbage\r\n\r\n'),
    answer: /^HTTP\/1\.1 (200 OK\r\n.*HTTP\/1\.1 400|400) /,
  },
  {
    what: 'a hundred good requests at once, and garbage',
    attack: (client) => client.send(`${'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(100)}garbage\r\n\r\n`),
    answer: /^HTTP\/1\.1 (200|400) /,
  },
  {
    what: 'a form that is shorter than it says, with a request behind it',
    attack: async (client) => {
      await client.send(`POST /add_to_cart/1 HTTP/1.1\r\n${FORM}Content-Length: 3\r\n\r\na=1zzz / HTTP/1.1\r\n\r\n`);
    },
    answer: /^HTTP\/1\.1 (422|400) /,
  },
  {
    what: 'TLS',
    // A ClientHello, as curl https:// sends it.
    attack: (client) => client.send(Buffer.concat([Buffer.from('16030100c8010000c40303', 'hex'), randomBytes(200)])),
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    what: 'HTTP/2 without asking',
    attack: (client) => client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    answer: /^(HTTP\/1\.1 4\d\d .*)?$/s,
  },
  { what: 'noise', attack: (client) => client.send(randomBytes(5000)), answer: /^HTTP\/1\.1 400 / },
  {
    what: 'a tunnel',
    attack: (client) => client.send('CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n'),
    answer: /^$/,
  },
];

/** Shorter than any timeout, so that a size limit must have cut the connection. */
const CUT_MS = 8_000;

const LATE_DATABASE = new Set([
  'the gauges could not be read from the database',
  'the catalogue or its ranking could not be read from the database: the last state is shown',
]);

test('a broken or endless request is cut at once, and other clients do not notice', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const { workers } = await shop.status();
  const bystanders = startLoad(t, () => shop.shopUrl, '/detail/1', 4);
  const before = await shop.metrics();

  for (const { what, attack, answer } of ATTACKS) {
    await t.test(what, async (t) => {
      assert.match(await carryOut(t, shop.shopUrl, attack, CUT_MS), answer);
    });
  }

  const statuses = await stopBystanders(t, bystanders);
  assert.deepEqual([...statuses.keys()], [200]);
  await until('nothing is left in flight', async () => (await shop.metrics()).of('http_requests_in_flight') === 0);
  const after = await shop.metrics();
  assert.deepEqual(
    after.samples.filter(({ labels, value }) => labels.status_code?.startsWith('5') && value > 0),
    [],
  );
  const change = after.since(before);
  for (const type of ['internal', 'database', 'overload', 'worker_crash']) {
    assert.equal(change.of('shop_errors_total', { type }), 0, type);
  }
  assert.deepEqual((await shop.status()).workers, workers);
  assertQuiet(shop.output());
});

test('a hundred clients with broken requests at a time do no harm', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const { workers } = await shop.status();
  const before = await shop.metrics();
  const bystanders = startLoad(t, () => shop.shopUrl, '/detail/1', 4);
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => {
      const { attack } = ATTACKS[i % ATTACKS.length] as Attack;
      return carryOut(t, shop.shopUrl, attack, 3 * CUT_MS);
    }),
  );

  const statuses = await stopBystanders(t, bystanders);
  // A busy machine may not serve so much at once in time.
  statuses.delete(503);
  assert.deepEqual([...statuses.keys()], [200]);
  await until('nothing is left in flight', async () => (await shop.metrics()).of('http_requests_in_flight') === 0);
  const change = (await shop.metrics()).since(before);
  for (const type of ['internal', 'worker_crash']) assert.equal(change.of('shop_errors_total', { type }), 0, type);
  assert.deepEqual((await shop.status()).workers, workers);
});

test('a client that is refused while it still sends reads the answer, not a reset', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  for (const [request, status] of [
    ['POST /checkout', 413],
    ['POST /nowhere', 404],
    ['GET /shop', 200],
  ] as const) {
    for (const bytes of [200_000, 4_000_000]) {
      const answers = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const client = connectRaw(t, shop.shopUrl);
          await client.send(`${request} HTTP/1.1\r\n${FORM}Content-Length: ${bytes}\r\n\r\n`);
          await sendUpTo(client, bytes, 'y'.repeat(CHUNK));
          await client.end(CUT_MS);
          return client.answer().split('\r\n', 1)[0]?.slice(0, 'HTTP/1.1 200'.length);
        }),
      );
      assert.deepEqual(new Set(answers), new Set([`HTTP/1.1 ${status}`]), `${request}, ${bytes} bytes`);
    }
  }
});

/** @returns the whole answer when the connection has ended, which must be in time */
async function carryOut(t: TestContext, origin: string, attack: Attack['attack'], cutMs: number): Promise<string> {
  const client = connectRaw(t, origin);
  const attacking = attack(client);
  await client.end(cutMs);
  await attacking;
  return client.answer();
}

/** Sends until the server ends the connection. */
async function sendUpTo(client: RawClient, bytes: number, piece: string): Promise<number> {
  let sent = 0;
  while (sent < bytes && (await client.send(piece))) sent += piece.length;
  return sent;
}

/** Asserts that no line of the log is a warning or worse, but for those of a database that is late on a busy machine. */
function assertQuiet(output: string): void {
  const lines = output.split('\n').map((line) => JSON.parse(line) as { level: number; msg: string });
  const loud = lines.filter(({ level, msg }) => level >= 40 && !LATE_DATABASE.has(msg));
  assert.deepEqual(loud, []);
}
