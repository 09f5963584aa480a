import assert from 'node:assert/strict';
import dns from 'node:dns';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type ListenOptions, listen } from '../../src/http/server.ts';
import { connectRaw } from '../support/raw-client.ts';
import { until, whenDone } from '../support/wait.ts';

const REQUESTS_PER_CONNECTION = 1000;
const DRAIN_MS = 5_000;
/** Added to a time limit for a busy machine. */
const SLACK_MS = 10_000;

async function serve(t: TestContext, options: Partial<ListenOptions> = {}) {
  const server = await listen((_request, response) => response.end(), { host: '127.0.0.1', port: 0, ...options });
  whenDone(t, () => server.drain(DRAIN_MS));
  return { port: server.port, origin: `http://127.0.0.1:${server.port}` };
}

test('a shared connection is closed after 1000 requests with a notice in the last answer, so that the next may reach another worker', async (t) => {
  const { port } = await serve(t, { shared: true });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  whenDone(t, () => agent.destroy());

  const ports = new Set<number>();
  const ask = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get({ host: '127.0.0.1', port, agent }, (response) => {
        ports.add(response.socket.localPort as number);
        response.resume().once('end', () => resolve(response));
      }).once('error', reject);
    });
  for (let i = 1; i < REQUESTS_PER_CONNECTION; i++) assert.equal((await ask()).headers.connection, 'keep-alive');
  assert.equal((await ask()).headers.connection, 'close');
  assert.equal(ports.size, 1);
  assert.equal((await ask()).statusCode, 200);
  assert.equal(ports.size, 2);
});

test('an idle connection is kept for as long as its client is told and closed soon after', async (t) => {
  assert.match(await firstAnswer(t, {}), /^Keep-Alive: timeout=75/im);
  const text = await firstAnswer(t, { keepAliveSeconds: 2 });
  assert.match(text, /^Keep-Alive: timeout=2\b/im);

  async function firstAnswer(t: TestContext, options: Partial<ListenOptions>): Promise<string> {
    const { origin } = await serve(t, options);
    const client = connectRaw(t, origin);
    const startedMs = performance.now();
    await client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('it is answered', () => client.answer().includes('\r\n\r\n'));
    if (options.keepAliveSeconds !== undefined) {
      await client.end(options.keepAliveSeconds * 1000 + SLACK_MS);
      assert.ok(performance.now() - startedMs >= options.keepAliveSeconds * 1000);
    }
    return client.answer();
  }
});

test('a request is answered when it is sent just as its idle connection is about to be closed', async (t) => {
  const { origin } = await serve(t, { keepAliveSeconds: 1 });
  const clients = Array.from({ length: 20 }, () => connectRaw(t, origin));
  const ask = (client: (typeof clients)[number]) => client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await Promise.all(clients.map(ask));
  await until('all are answered', () => clients.every((client) => client.answer().includes('\r\n\r\n')));

  // From a little before the end of the second to a little after it.
  await sleep(990);
  for (const client of clients) {
    await ask(client);
    await sleep(1);
  }
  await until('all have two answers', () => clients.every((client) => client.answer().split(' 200 OK').length === 3));
});

test('a request that arrived while the process was busy is answered, even after the idle time', async (t) => {
  const { port } = await serve(t, { keepAliveSeconds: 1 });
  const flags = new Int32Array(new SharedArrayBuffer(8));
  const client = new Worker(new URL('./late-client.mjs', import.meta.url), { workerData: { port, flags } });
  whenDone(t, () => client.terminate());
  const said: { answers: number; code?: string }[] = [];
  client.on('message', (message) => said.push(message));
  await once(client, 'message');

  const busy = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  // Once until the end of its second, and once until the end of its grace.
  busy(1_200);
  await sleep(1);
  Atomics.store(flags, 0, 1);
  Atomics.notify(flags, 0);
  Atomics.wait(flags, 1, 0, SLACK_MS);
  busy(5_500);

  await until('the client says how it ended', () => said.length > 1);
  assert.deepEqual(said.at(-1), { answers: 2 });
});

test('a request that has begun is not cut at the end of the idle time', async (t) => {
  const { origin } = await serve(t, { keepAliveSeconds: 1 });
  const client = connectRaw(t, origin);
  await client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await until('it is answered', () => client.answer().includes('\r\n\r\n'));
  await client.send('GET / HTTP/1.1\r\nHo');
  await sleep(7_000);
  await client.send('st: localhost\r\n\r\n');
  await until('it is answered too', () => client.answer().split(' 200 OK').length === 3);
});

const BROKEN: [what: string, request: string][] = [
  ['two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  ['the same host twice', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
  ['two hosts of HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n'],
  ['no host', 'GET / HTTP/1.1\r\n\r\n'],
  ['an empty host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  ['two names in one host', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n'],
  ['a host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  ['a host with a user', 'GET / HTTP/1.1\r\nHost: user@a\r\n\r\n'],
  ['a host with a port that is none', 'GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n'],
  ['a host that is no address', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n'],
  ['an address without end', 'GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['an address of another host', 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['an address of another port', 'GET http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['an address of another protocol', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
];
const SOUND: [what: string, request: string][] = [
  ['a name with a port', 'GET / HTTP/1.1\r\nHost: loja_1.example:5000\r\n\r\n'],
  ['an IPv6 address', 'GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n'],
  ['HTTP/1.0 without a host', 'GET / HTTP/1.0\r\n\r\n'],
  ['an address of the same host', 'GET http://LOJA.example:80/ HTTP/1.1\r\nHost: loja.example\r\n\r\n'],
  ['an address of the same host with TLS', 'GET https://loja.example/ HTTP/1.1\r\nHost: loja.example:443\r\n\r\n'],
  ['a server as a whole', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
];

async function statusOf(t: TestContext, origin: string, request: string): Promise<string> {
  const client = connectRaw(t, origin);
  await client.send(request);
  await until('it is answered', () => client.answer().includes('\r\n\r\n'));
  return client.answer();
}

test('a request with an ambiguous host is refused', async (t) => {
  const { origin } = await serve(t);
  for (const [what, request] of BROKEN) assert.match(await statusOf(t, origin, request), /^HTTP\/1\.1 400 /, what);
  for (const [what, request] of SOUND) assert.match(await statusOf(t, origin, request), /^HTTP\/1\.1 200 /, what);
});

test('a server on the loopback may answer to its own names only', async (t) => {
  const { origin } = await serve(t, { refuseForeignHosts: true });
  const ask = (host: string) => statusOf(t, origin, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '0.0.0.0',
    '[::2]',
  ]) {
    const answer = await ask(host);
    assert.match(answer, /^HTTP\/1\.1 421 /, host);
    assert.match(answer, /^X-Content-Type-Options: nosniff\r$/im);
    assert.match(answer, /set METRICS_HOST/);
  }
  for (const host of ['localhost', 'LocalHost:80', '127.0.0.1:1', '127.1.2.3', '[::1]', '[::1]:9464']) {
    assert.match(await ask(host), /^HTTP\/1\.1 200 /, host);
  }
  assert.match(await statusOf(t, origin, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /);

  const { port } = await serve(t, { refuseForeignHosts: true, host: '0.0.0.0' });
  const everywhere = await statusOf(t, `http://127.0.0.1:${port}`, 'GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n');
  assert.match(everywhere, /^HTTP\/1\.1 200 /);
});

test('a server on the loopback answers to the name that it listens on', async (t) => {
  const { lookup } = dns;
  t.mock.method(dns, 'lookup', (name: string, ...rest: unknown[]) =>
    Reflect.apply(lookup, dns, [name.toLowerCase() === 'shop-machine.lan' ? '127.0.0.1' : name, ...rest]),
  );
  const { port } = await serve(t, { refuseForeignHosts: true, host: 'Shop-Machine.lan' });
  const ask = (host: string) => statusOf(t, `http://127.0.0.1:${port}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  for (const host of [`Shop-Machine.lan:${port}`, 'shop-machine.lan', 'shop-machine.lan.', 'localhost', '127.0.1.1']) {
    assert.match(await ask(host), /^HTTP\/1\.1 200 /, host);
  }
  for (const host of ['shop-machine', 'lan', 'shop-machine.lan.evil.example', 'xshop-machine.lan']) {
    assert.match(await ask(host), /^HTTP\/1\.1 421 /, host);
  }
});
