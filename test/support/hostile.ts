import { randomBytes, randomInt } from 'node:crypto';
import { type Agent, METHODS, request } from 'node:http';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { connectRaw } from './raw-client.ts';
import { CUSTOMER } from './visitor.ts';

/** A request that browsers do not send: valid HTTP, with a wrong value somewhere. */
export interface HostileRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | Buffer | undefined;
}

const DEADLINE_MS = 20_000;
/** The shop cuts a longer body while it is still being sent. */
const BODY_LIMIT = 16 * 1024;

/**
 * @returns the status of the answer; 413 when the connection is cut while a body beyond the limit is being sent
 * @throws when there is no answer
 */
export function send(origin: string, { body, ...options }: HostileRequest, agent?: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    request(origin, { ...options, ...(agent && { agent }), signal: AbortSignal.timeout(DEADLINE_MS) }, (response) => {
      response.on('error', reject).on('end', () => resolve(response.statusCode ?? 0));
      response.resume();
    })
      .on('error', (error: NodeJS.ErrnoException) => {
        const cut = ['ECONNRESET', 'EPIPE'].includes(error.code ?? '') && Buffer.byteLength(body ?? '') > BODY_LIMIT;
        if (cut) resolve(413);
        else reject(error);
      })
      .end(body);
  });
}

/** Wrong values for any place where a number or a word is expected. */
export const ODD_VALUES = [
  '',
  '-1',
  '0',
  '99999999999',
  '2147483648',
  '1e309',
  '1.5',
  'NaN',
  'null',
  'undefined',
  '[object%20Object]',
  '%00',
  '1%00',
  '%0d%0aSet-Cookie:x=1',
  '%ff%fe',
  '%ed%a0%80',
  '%F0%9F%98%80',
  '%E2%80%AE',
  '%zz',
  '%',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  "1'%20or%20'1'='1",
  '1;drop%20table%20products',
  '%3Cscript%3Ealert(1)%3C/script%3E',
  '$%7B7*7%7D',
  '__proto__',
  'constructor',
  'a'.repeat(5000),
  '%25'.repeat(500),
];

export const ODD_BODIES: (string | Buffer)[] = [
  '',
  '=',
  '&&&&',
  'quantity',
  'quantity=1&quantity=2',
  'quantity[]=1',
  'quantity[a][b][c][d][e][f][g]=1',
  'quantity.x=1',
  '__proto__[quantity]=1',
  'constructor[prototype][quantity]=1',
  '__proto__.quantity=1',
  'quantity=%',
  'quantity=%00',
  'quantity=%ED%A0%80',
  Buffer.from([0x71, 0x3d, 0xff, 0xfe, 0x00]),
  `${'a=1&'.repeat(3000)}quantity=0`,
  `quantity=${'9'.repeat(10_000)}`,
  `${'['.repeat(1000)}=1`,
  'x'.repeat(200_000),
];

export const ODD_HEADERS: Record<string, string>[] = [
  { accept: '' },
  { accept: ';;;,,,/' },
  { accept: 'a'.repeat(4000) },
  { 'accept-encoding': 'gzip;q=abc, *;q=-1' },
  { 'accept-encoding': 'identity;q=0' },
  { 'accept-encoding': '*;q=0' },
  { 'accept-encoding': ',' },
  { 'accept-encoding': 'gzip;q=0, identity;q=0' },
  { 'accept-encoding': 'constructor, __proto__' },
  { 'accept-language': '%00' },
  { cookie: '=;=;;;fake_shop' },
  { cookie: 'fake_shop=e30=; fake_shop.sig=x' },
  { cookie: `fake_shop=${Buffer.from('{"__proto__":{"id":1}}').toString('base64')}` },
  { host: 'evil.example:99999' },
  { host: '' },
  { 'if-none-match': '*' },
  { 'x-forwarded-for': '<script>' },
  { 'x-forwarded-host': 'evil.example' },
  { 'x-request-id': 'a b' },
  { range: 'bytes=9-1' },
  { 'x-http-method-override': 'DELETE' },
];

/** Every kind of path, with a value of the client's in each place where it can choose one. */
const PATHS: ((value: () => string) => string)[] = [
  (value) => `/${value()}`,
  (value) => `/${value()}/${value()}/${value()}?${value()}=${value()}`,
  (value) => `/?${value()}=${value()}`,
  (value) => `/shop?q=${value()}&category=${value()}&sort=${value()}&page=${value()}&${value()}`,
  (value) => `/shop?page=${value()}&q[]=${value()}&__proto__=${value()}`,
  (value) => `/detail/${value()}`,
  (value) => `/DETAIL/${value()}/`,
  (value) => `/contact?v=${value()}`,
  (value) => `/add_to_cart/${value()}`,
  (value) => `/update_quantity/${value()}`,
  (value) => `/remove_item/${value()}`,
  (value) => `/order_confirmation/${value()}`,
  (value) => `/pix/${value()}`,
  (value) => `/pix/${value()}/state`,
  (value) => `/pix/${value()}/simulation`,
  (value) => `/cart?${value()}`,
  (value) => `/checkout/${value()}`,
  (value) => `/checkout?${value()}`,
  (value) => `/static/${value()}`,
  (value) => `/static/${value()}.css`,
  (value) => `/%zz${value()}`,
  (value) => `/livez?${value()}=${value()}`,
  (value) => `/metrics?worker=${value()}`,
];

// Generated with fast-check, which repeats a seed and shrinks what fails.

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 40 }),
  fc.integer().map(String),
  fc.double().map(String),
  fc.constantFrom('1', '2', '99', 'toString', "'--", '\r\nX: y'),
);
/** Lone surrogates, which `encodeURIComponent` refuses, become U+FFFD. */
const percentEncoded = (value: string) => encodeURIComponent(Buffer.from(value).toString());
const encoded = fc.oneof(
  text.map(percentEncoded),
  fc.string({ unit: fc.constantFrom(...'%0aFf./\\;=&?+~:@[]'), maxLength: 12 }),
  fc.constantFrom(...ODD_VALUES),
);
const generatedPath = fc
  .tuple(fc.constantFrom(...PATHS), fc.array(encoded, { minLength: 5, maxLength: 5 }))
  .map(([path, values]) => {
    let used = 0;
    return path(() => values[used++ % values.length] as string);
  });

const fields = ['quantity', 'cart', ...Object.keys(CUSTOMER)];
const form = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom(...fields, 'quantity[]', 'cart[a]', '__proto__[x]'), encoded), encoded), {
    maxLength: 20,
  })
  .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&'));
/** A valid form except for one field. */
const nearlyGoodForm = fc
  .tuple(fc.constantFrom(...fields), encoded)
  .map(([field, value]) => `${new URLSearchParams({ quantity: '1', ...CUSTOMER, [field]: '' })}&${field}=${value}`);
const generatedBody = fc.oneof(
  form,
  nearlyGoodForm,
  fc.json(),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(...ODD_BODIES),
);

const generatedHeaders = fc.record(
  {
    'content-type': fc.constantFrom(
      'application/x-www-form-urlencoded',
      'application/json',
      'text/plain',
      ';',
      'a/b; c',
    ),
    accept: fc.constantFrom('*/*', 'application/json', 'text/html', ';q=x', 'image/png'),
    'accept-encoding': fc.constantFrom('gzip', 'br', 'identity;q=0', '*;q=0', 'gzip;q=x', ',,'),
    cookie: text.map((value) => `fake_shop=${percentEncoded(value)}; fake_shop.sig=x`),
    'if-none-match': fc.constantFrom('*', '"x"', 'W/'),
    origin: fc.constantFrom('null', 'x', 'http://evil.example'),
    'x-request-id': fc.string({ maxLength: 20 }).map(encodeURIComponent),
  },
  { requiredKeys: [] },
);

/** Generated requests of every kind. */
export const hostileRequest: fc.Arbitrary<HostileRequest> = fc
  .oneof(
    fc.record({
      method: fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'PUT'),
      path: generatedPath,
      headers: generatedHeaders,
    }),
    fc.record({ method: fc.constant('POST'), path: generatedPath, headers: generatedHeaders, body: generatedBody }),
  )
  .chain((generated: HostileRequest) =>
    fc
      .option(fc.constantFrom(...ODD_HEADERS), { freq: 4, nil: {} })
      .map((odd) => ({ ...generated, headers: { ...generated.headers, ...odd } })),
  );

// Combined: each combination of path, value, method and headers in turn, with new random words each time. The answers to
// one combination are alike, so that what has been sent once tells of all that follow.

const COMMON_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];
/** Other methods are refused before they reach the application. `CONNECT` asks for a tunnel, not for a page. */
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

const VALUE_KINDS = [word, number];

/** The number of requests after which {@link combinedRequest} has made each combination once. */
export const COMBINATIONS = PATHS.length * VALUE_KINDS.length * METHOD_KINDS.length * HEADER_KINDS.length;

export function combinedRequest(index: number): HostileRequest {
  let rest = index;
  function next<T>(kinds: readonly T[]): T {
    const kind = pick(kinds, rest);
    rest = Math.floor(rest / kinds.length);
    return kind;
  }
  return { path: next(PATHS)(next(VALUE_KINDS)), method: next(METHOD_KINDS)(), headers: next(HEADER_KINDS)() };
}

/** Text that is no valid HTTP. The answer is a 400 or another 4xx, or the end of the connection. */
export const BROKEN_REQUESTS: (() => string | Buffer)[] = [
  () => randomBytes(200),
  () => 'GET / HTTP/1.1\r\n\r\n',
  () => 'NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n',
  () => `${word()} / HTTP/1.1\r\nHost: ${word()}\r\n\r\n`,
  () => `CONNECT ${word()}:443 HTTP/1.1\r\nHost: ${word()}\r\n\r\n`,
  () => `GET /${word()} HTTP/9.9\r\n\r\n`,
  () => 'GET http://[::1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  () => 'GET nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  () => 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  () => 'POST /checkout HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  () => 'POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  () =>
    'POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\nab',
  () => `POST /add_to_cart/1 HTTP/1.1\r\nHost: a\r\nContent-Length: ${word()}\r\n\r\n`,
  () => `GET / HTTP/1.1\r\nHost: ${word()}\r\nX-Long: ${word().repeat(3000)}\r\n\r\n`,
  () => `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
  () => 'GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\0b\r\n\r\n',
];

/** Sends a text over a connection of its own. @returns what the server answered before the connection ended */
export async function sendRaw(t: TestContext, origin: string, data: string | Buffer): Promise<string> {
  const client = connectRaw(t, origin);
  client.socket.end(data);
  await client.end(DEADLINE_MS);
  return client.answer();
}

function pick<T>(list: readonly T[], index: number): T {
  return list[index % list.length] as T;
}

function word(): string {
  return `w${randomBytes(randomInt(3, 12)).toString('hex')}`;
}

/** Beyond every id that the shop has, and longer than a worker's place may be. */
function number(): string {
  return String(randomInt(10 ** 6, 2 ** 40));
}
