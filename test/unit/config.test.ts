import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import pg from 'pg';
import { ConfigError, readConfig } from '../../src/config.ts';
import { spawnShop } from '../support/cluster.ts';

test('an empty environment has the documented defaults', () => {
  const config = readConfig({});

  assert.deepEqual(
    { port: config.shop.port, host: config.shop.host, rateLimit: config.shop.rateLimit },
    { port: 5000, host: '0.0.0.0', rateLimit: 120 },
  );
  assert.deepEqual(config.metrics, { port: 9464, host: '127.0.0.1', token: null });
  assert.equal(config.shop.metricsOnShopPort, true);
  assert.equal(config.database.connection, null);
  assert.equal(config.database.poolMax, 10);
  assert.equal(config.logLevel, 'info');
});

test('an empty value counts as unset', () => {
  assert.equal(readConfig({ PORT: '', DATABASE_URL: '' }).shop.port, 5000);
});

test('TRUST_PROXY means no proxy, one proxy or a number of proxies', () => {
  const proxies = (value: string) => readConfig({ TRUST_PROXY: value }).shop.trustProxy;
  assert.deepEqual(['', 'false', 'true', '0', '1', '2', '32'].map(proxies), [0, 0, 1, 0, 1, 2, 32]);
});

test('PUBLIC_URL is an origin, with or without a slash at its end', () => {
  const origin = (value: string) => readConfig({ PUBLIC_URL: value }).shop.publicUrl;
  assert.equal(origin(''), null);
  assert.equal(origin('https://shop.example'), 'https://shop.example');
  assert.equal(origin('HTTPS://Shop.Example:443/'), 'https://shop.example');
  assert.equal(origin('http://[::1]:5000'), 'http://[::1]:5000');
});

test('a database is named by its URL or by its parts', () => {
  const url = 'postgres://ana:secret@db:5433/shop';
  assert.deepEqual(readConfig({ DATABASE_URL: url }).database.connection, { url });
  assert.deepEqual(readConfig({ DB_HOST: 'db', DB_USER: 'ana', DB_NAME: 'shop' }).database.connection, {
    host: 'db',
    port: 5432,
    user: 'ana',
    password: undefined,
    database: 'shop',
  });
});

test('a URL is read as pg reads it, and a stray % or space is taken literally', () => {
  const readings: Array<[string, object]> = [
    ['postgres://u:p@/db?host=/socket&port=1', { host: '/socket', port: 1, user: 'u', password: 'p', database: 'db' }],
    ['postgres://%2Fsocket/db', { host: '/socket', database: 'db' }],
    ['postgresql:///db', { host: 'localhost', database: 'db' }],
    ['socket://u:p@/socket?db=shop', { host: '/socket', user: 'u', password: 'p', database: 'shop' }],
    ['socket:/socket?db=shop', { host: '/socket', database: 'shop' }],
    ['/socket shop', { host: '/socket', database: 'shop' }],
    ['postgres://u:50%@h/db', { password: '50%', host: 'h', database: 'db' }],
    ['postgres://u:50%ab@h/db', { password: '50%ab', host: 'h' }],
    ['postgres://u:50%25@h/db', { password: '50%', host: 'h' }],
    ['postgres://50%u:50%@%2Fsocket/db', { user: '50%u', password: '50%', host: '/socket' }],
    ['postgres://u:a b%40:c@h/db', { password: 'a b@:c', host: 'h' }],
    ['postgres://u@h/db', { user: 'u', host: 'h' }],
    ['postgres://u:p@h/a@b?sslmode=disable', { user: 'u', password: 'p', host: 'h', database: 'a@b' }],
    ['postgres://h:1/db?user=ana@x&password=p@q', { host: 'h', port: 1, user: 'ana@x', password: 'p@q' }],
    ['postgres:///db?sslmode=disable&host=/s@x', { host: '/s@x', database: 'db' }],
    ['socket:/s@x?db=shop', { host: '/s@x', database: 'shop' }],
  ];
  for (const [DATABASE_URL, expected] of readings) {
    const { connection } = readConfig({ DATABASE_URL }).database;
    assert.ok(connection && 'url' in connection);
    const client = new pg.Client({ connectionString: connection.url });
    const { host, port, user, password, database } = client;
    assert.deepEqual({ host, port, user, password, database, ...expected }, { host, port, user, password, database });
    assert.deepEqual(readConfig({ DATABASE_URL: connection.url }).database.connection, connection, 'for a worker');
  }
});

test('the folder of a socket is accepted as a host', () => {
  assert.deepEqual(readConfig({ DB_HOST: '/var/run/postgresql', DB_PASSWORD: '50%' }).database.connection, {
    host: '/var/run/postgresql',
    port: 5432,
    user: 'postgres',
    password: '50%',
    database: 'fake_shop',
  });
});

test('variables that Kubernetes sets for services are ignored, and a warning says how to avoid them', () => {
  const links = { PORT: 'tcp://10.0.0.1:80', METRICS_PORT: 'tcp://[fd00::1]:9464', DB_PORT: 'tcp://10.96.12.3:5432' };
  const others = { DB_SERVICE_HOST: '10.96.12.3', DB_PORT_5432_TCP_PORT: '5432' };
  for (const database of [{}, { DATABASE_URL: 'postgres://db/shop' }, { DB_HOST: 'db' }]) {
    const config = readConfig({ ...links, ...others, ...database });
    assert.deepEqual([config.shop.port, config.metrics.port], [5000, 9464]);
    assert.equal(config.database.connection === null, !('DATABASE_URL' in database || 'DB_HOST' in database));
    assert.equal(config.warnings.length, 3);
    for (const name of Object.keys(links)) {
      assert.ok(config.warnings.some((line) => line.startsWith(`${name}=`) && line.includes('enableServiceLinks')));
    }
  }
  assert.deepEqual(readConfig({ PORT: '80' }).warnings, []);
});

test('variables that Docker sets for a link are ignored, its name included', () => {
  const link = { DB_PORT: 'tcp://172.17.0.2:5432', DB_NAME: '/shop/db', DB_ENV_PG_MAJOR: '18' };
  const alone = readConfig(link);
  assert.equal(alone.database.connection, null);
  assert.deepEqual(
    alone.warnings.map((line) => line.split(' ')[0]),
    ['DB_PORT=tcp://172.17.0.2:5432', 'DB_NAME=/shop/db'],
  );
  assert.ok(alone.warnings.every((line) => line.includes('--link')));

  const beside = readConfig({ ...link, DB_HOST: 'db', DB_USER: 'ana' }).database.connection;
  assert.deepEqual(beside, { host: 'db', port: 5432, user: 'ana', password: undefined, database: 'fake_shop' });
  assert.deepEqual(readConfig({ DB_HOST: 'db', DB_NAME: 'db' }).warnings, []);
});

test('a password that hides the end of the account is refused and not shown', () => {
  const urls = ['/', '?', '#'].flatMap((mark) => [
    `postgres://postgres:8713${mark}secret@postgres/db`,
    `postgres://postgres:8713${mark}secret@postgres`,
    `postgres://postgres:8713${mark}a=secret&b@postgres/db?sslmode=disable`,
    `postgres://postgres:${mark}secret@postgres/db`,
    `postgres://post${mark}secret:8713@postgres/db`,
    `postgres://postgres:secret@8713${mark}secret@postgres/db`,
    `socket://postgres:8713${mark}secret@/socket?db=shop`,
  ]);
  for (const DATABASE_URL of urls) {
    assert.throws(
      () => readConfig({ DATABASE_URL }),
      (error: Error) => {
        assert.match(error.message, /^ {2}DATABASE_URL must look like .* \/ \? # .* written %3A %2F %3F %23 %40/m);
        return !/secret|8713/.test(error.message);
      },
      DATABASE_URL,
    );
  }
});

test('the error for a bad database address names its variable and never the password', () => {
  const bad = ['postgres://u:secret#1@h/db', 'postgres://u:secret@h:99999/db', 'mysql://u:secret@h/db', 'secret@h/db'];
  bad.push('postgres://u:secret@h/db?sslrootcert=/not/there.pem');
  for (const DATABASE_URL of bad) {
    assert.throws(
      () => readConfig({ DATABASE_URL }),
      (error: Error) => /^ {2}DATABASE_URL /m.test(error.message) && !error.message.includes('secret'),
    );
  }
});

const MISTAKES: Array<[string, NodeJS.ProcessEnv, RegExp]> = [
  ['a port that is no number', { PORT: 'http' }, /^ {2}PORT must be a TCP port/],
  ['a port out of range', { METRICS_PORT: '65536' }, /^ {2}METRICS_PORT must be/],
  ['no worker', { WORKERS: '0' }, /^ {2}WORKERS must be/],
  ['a fraction of a worker', { WORKERS: '1.5' }, /^ {2}WORKERS must be/],
  ['a URL of another database', { DATABASE_URL: 'mysql://db/shop' }, /^ {2}DATABASE_URL must look like postgres:/],
  ['URL and parts together', { DATABASE_URL: 'postgres://db/shop', DB_USER: 'ana' }, /contradict each other/],
  ['parts without a host', { DB_NAME: 'shop' }, /^ {2}DB_HOST is missing/],
  ['an unknown log level', { LOG_LEVEL: 'loud' }, /^ {2}LOG_LEVEL must be one of/],
  ['neither true nor false', { METRICS_ON_SHOP_PORT: 'yes' }, /^ {2}METRICS_ON_SHOP_PORT must be true or false/],
  ['proxies by name', { TRUST_PROXY: 'nginx' }, /^ {2}TRUST_PROXY must be true \(one proxy\), false, or how many/],
  ['fewer proxies than none', { TRUST_PROXY: '-1' }, /^ {2}TRUST_PROXY must be/],
  ['an origin without a scheme', { PUBLIC_URL: 'shop.example' }, /^ {2}PUBLIC_URL must be the origin of the shop/],
  ['an origin with a path', { PUBLIC_URL: 'https://shop.example/loja' }, /^ {2}PUBLIC_URL must be the origin/],
  ['an origin with an account', { PUBLIC_URL: 'https://ana@shop.example' }, /^ {2}PUBLIC_URL must be the origin/],
  ['an origin of no web site', { PUBLIC_URL: 'ftp://shop.example' }, /^ {2}PUBLIC_URL must be the origin/],
  ['an origin that ends a page', { PUBLIC_URL: 'https://shop&example' }, /^ {2}PUBLIC_URL must be the origin/],
  ['a rate limit of none', { RATE_LIMIT: '0' }, /^ {2}RATE_LIMIT must be off, or/],
  ['connections that are never idle', { KEEP_ALIVE_SECONDS: '0' }, /^ {2}KEEP_ALIVE_SECONDS must be the seconds/],
  ['ready or not', { READY_WITHOUT_DATABASE: '1' }, /^ {2}READY_WITHOUT_DATABASE must be true or false/],
  ['faults by half', { FAULTS: 'yes' }, /^ {2}FAULTS must be true or false/],
  [
    'rehearsed faults in production',
    { NODE_ENV: 'production', FAULTS: 'true' },
    /^ {2}FAULTS must not be true when NODE_ENV=production/,
  ],
  ['a short session key', { SESSION_KEYS: 'short' }, /^ {2}SESSION_KEYS must be keys/],
  ['a token that no header carries', { METRICS_TOKEN: 'two words' }, /^ {2}METRICS_TOKEN must be a bearer token/],
  ['a host with a space', { METRICS_HOST: 'my host' }, /^ {2}METRICS_HOST must be an address or a host name$/],
  ['a host of no URL', { METRICS_HOST: 'fe80::1%lo' }, /^ {2}METRICS_HOST must be an address without a zone/],
  ['an address with too many parts', { METRICS_HOST: '127.0.0.1.2' }, /^ {2}METRICS_HOST must be an address/],
  ['one port for both servers', { PORT: '9464' }, /^ {2}METRICS_PORT must differ from PORT/],
  [
    'one port on the same address',
    { PORT: '80', HOST: '10.0.0.1', METRICS_PORT: '80', METRICS_HOST: '10.0.0.1' },
    /^ {2}METRICS_PORT must differ from PORT/,
  ],
  [
    'more connections than a PostgreSQL can grant',
    { WORKERS: '500', DB_POOL_MAX: '1000' },
    /^ {2}WORKERS and DB_POOL_MAX want 501020 connections/,
  ],
  [
    'no session keys in production beside an external database',
    { NODE_ENV: 'production', DATABASE_URL: 'postgres://db/shop' },
    /^ {2}SESSION_KEYS must be set in production/,
  ],
];

for (const [what, environment, message] of MISTAKES) {
  test(`${what} is refused`, () => {
    assert.throws(
      () => readConfig(environment),
      (error) => error instanceof ConfigError && error.problems.length === 1 && message.test(error.problems[0] ?? ''),
    );
  });
}

test('unusual values that are valid are accepted', () => {
  const sameButFree = { PORT: '0', METRICS_PORT: '0' };
  const twoAddresses = { PORT: '80', HOST: '10.0.0.1', METRICS_PORT: '80', METRICS_HOST: '10.0.0.2' };
  const ownServer = { WORKERS: '500', DB_POOL_MAX: '1000', DATABASE_URL: 'postgres://db/shop' };
  for (const environment of [sameButFree, twoAddresses, ownServer]) readConfig(environment);
});

test('every mistake is listed at once before exit 1', async () => {
  const { child, output } = spawnShop({ PORT: 'http', WORKERS: '-1', LOG_LEVEL: 'loud', DB_PORT: '1' });
  const [code] = await once(child, 'close');

  assert.equal(code, 1);
  for (const name of ['PORT', 'WORKERS', 'LOG_LEVEL', 'DB_HOST'])
    assert.match(output(), new RegExp(`^ {2}${name} `, 'm'));
});
