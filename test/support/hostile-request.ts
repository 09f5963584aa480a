import { type Agent, request } from 'node:http';
import fc from 'fast-check';
import { CUSTOMER } from './visitor.ts';

const DEADLINE_MS = 20_000;

export interface HostileRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | Buffer | undefined;
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 40 }),
  fc.integer().map(String),
  fc.double().map(String),
  fc.constantFrom(
    '1',
    '2',
    '99',
    '0',
    '-1',
    '\0',
    '__proto__',
    'constructor',
    'toString',
    "'--",
    '<b>',
    '\r\nX: y',
    '%00',
  ),
);
/** Lone surrogates, which `encodeURIComponent` refuses, become U+FFFD. */
const percentEncoded = (value: string) => encodeURIComponent(Buffer.from(value).toString());
const encoded = fc.oneof(
  text.map(percentEncoded),
  fc.string({ unit: fc.constantFrom(...'%0aFf./\\;=&?+~:@[]'), maxLength: 12 }),
);
const query = fc
  .array(fc.tuple(fc.constantFrom('q', 'category', 'sort', 'page', 'v', 'worker', '__proto__', 'q[]'), encoded), {
    maxLength: 4,
  })
  .map((pairs) => (pairs.length ? `?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}` : ''));
const path = fc
  .tuple(
    fc.constantFrom(
      '/',
      '/shop',
      '/detail/',
      '/cart',
      '/checkout',
      '/order_confirmation/',
      '/static/',
      '/metrics',
      '/contact',
    ),
    fc.oneof({ weight: 1, arbitrary: fc.constant('') }, { weight: 3, arbitrary: encoded }),
    query,
  )
  .map((parts) => parts.join(''));
const postPath = fc
  .tuple(fc.constantFrom('/add_to_cart/', '/update_quantity/', '/remove_item/', '/checkout', '/checkout/'), encoded)
  .map((parts) => parts.join(''));

const fields = ['quantity', 'cart', ...Object.keys(CUSTOMER)];
const form = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom(...fields, 'quantity[]', 'cart[a]', '__proto__[x]'), encoded), encoded), {
    maxLength: 20,
  })
  .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&'));
/** A good form but for one field. */
const nearlyGoodForm = fc
  .tuple(fc.constantFrom(...fields), encoded)
  .map(([field, value]) => `${new URLSearchParams({ quantity: '1', ...CUSTOMER, [field]: '' })}&${field}=${value}`);
const body = fc.oneof(
  form,
  nearlyGoodForm,
  fc.json(),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
);

const headers = fc.record(
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

/** Requests as nobody sends them by accident: each is HTTP, and nothing else about it is as it should be. */
export const hostileRequest: fc.Arbitrary<HostileRequest> = fc.oneof(
  fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'PUT'),
    path,
    headers,
    body: fc.constant(undefined),
  }),
  fc.record({ method: fc.constant('POST'), path: fc.oneof(postPath, path), headers, body }),
) as fc.Arbitrary<HostileRequest>;

/** @returns the answer's status */
export function send(origin: string, agent: Agent, { body, ...options }: HostileRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    request(origin, { ...options, agent, signal: AbortSignal.timeout(DEADLINE_MS) }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', reject)
      .end(body);
  });
}
