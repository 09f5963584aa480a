import { randomBytes, randomInt } from 'node:crypto';
import { Agent, METHODS, request } from 'node:http';
import { connect } from 'node:net';

const COMMON_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/** Answers differ by path, method and headers; within each, all that a client can choose is random. */
const PATH_KINDS: (() => string)[] = [
  () => `/${word()}`,
  () => `/${word()}/${word()}/${word()}?${word()}=${word()}`,
  () => `/?${word()}=${word()}`,
  () => `/shop?q=${word()}&category=${word()}&sort=${word()}&page=${number()}&${word()}`,
  () => `/detail/${number()}`,
  () => `/detail/${word()}`,
  () => `/DETAIL/${number()}/`,
  () => `/add_to_cart/${number()}`,
  () => `/update_quantity/${number()}`,
  () => `/remove_item/${number()}`,
  () => `/order_confirmation/${word()}`,
  () => `/cart?${word()}`,
  () => `/checkout?${word()}`,
  () => `/static/${word()}.css`,
  () => `/%zz${word()}`,
  () => `/livez?${word()}=${word()}`,
  () => `/metrics?worker=${number()}`,
];

/** As others are refused before they reach the application. `CONNECT` asks for a tunnel, not for a page. */
const ODD_METHODS = METHODS.filter((method) => !COMMON_METHODS.includes(method) && method !== 'CONNECT');

const METHOD_KINDS: (() => string)[] = [
  ...COMMON_METHODS.map((method) => () => method),
  () => pick(ODD_METHODS, randomInt(ODD_METHODS.length)),
  () => word().toUpperCase(),
];

const HEADER_KINDS: (() => Record<string, string>)[] = [
  () => ({ [`x-${word()}`]: word(), 'user-agent': word(), referer: word(), 'x-forwarded-for': word() }),
  () => ({ host: `${word()}.example`, cookie: `fake_shop=${word()}; fake_shop.sig=${word()}`, accept: word() }),
  () => ({ accept: 'application/json', 'accept-encoding': word(), 'x-http-method-override': word() }),
  () => ({ 'sec-fetch-site': 'cross-site', origin: `http://${word()}.example`, 'content-type': `text/${word()}` }),
];

/** So many requests, and each combination of path, method and headers was sent once. */
export const COMBINATIONS = PATH_KINDS.length * METHOD_KINDS.length * HEADER_KINDS.length;

const CLIENTS = 8;
const DEADLINE_MS = 20_000;

/** Sends requests, one of each combination after the other. An answer of any kind is fine, and so is none. */
export async function sendHostileRequests(origin: string, count: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  let next = 0;
  async function client(): Promise<void> {
    while (next < count) await send(agent, origin, next++);
  }
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
}

function send(agent: Agent, origin: string, number: number): Promise<void> {
  const path = pick(PATH_KINDS, number);
  const method = pick(METHOD_KINDS, Math.floor(number / PATH_KINDS.length));
  const headers = pick(HEADER_KINDS, Math.floor(number / PATH_KINDS.length / METHOD_KINDS.length));
  const { hostname, port } = new URL(origin);
  return new Promise((resolve) => {
    const asked = request({
      hostname,
      port,
      path: path(),
      method: method(),
      headers: headers(),
      agent,
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    asked.on('response', (response) => response.on('error', () => {}).resume());
    asked.on('error', () => {});
    asked.on('close', resolve);
    asked.end();
  });
}

/** Sends what is not HTTP, or only nearly, each over a connection of its own. */
export async function sendGarbage(origin: string, count: number): Promise<void> {
  const { hostname, port } = new URL(origin);
  const garbage: (() => string | Buffer)[] = [
    () => randomBytes(200),
    () => `${word()} / HTTP/1.1\r\nHost: ${word()}\r\n\r\n`,
    () => `CONNECT ${word()}:443 HTTP/1.1\r\nHost: ${word()}\r\n\r\n`,
    () => `GET /${word()} HTTP/9.9\r\n\r\n`,
    () => `GET / HTTP/1.1\r\nHost: ${word()}\r\nX-Long: ${word().repeat(3000)}\r\n\r\n`,
    () => `POST /add_to_cart/1 HTTP/1.1\r\nHost: a\r\nContent-Length: ${word()}\r\n\r\n`,
  ];
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) => {
      const socket = connect({ host: hostname, port: Number(port) }, () => socket.end(pick(garbage, i)()));
      socket.setTimeout(DEADLINE_MS, () => socket.destroy());
      socket
        .on('error', () => {})
        .on('close', () => resolve())
        .resume();
    });
  }
}

function pick<T>(list: readonly T[], index: number): T {
  return list[index % list.length] as T;
}

function word(): string {
  return `w${randomBytes(randomInt(3, 12)).toString('hex')}`;
}

/** Beyond every id that the shop has, and longer than a worker's place may be. */
function number(): number {
  return randomInt(10 ** 6, 2 ** 40);
}
