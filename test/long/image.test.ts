import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import { migrationSource } from '../../src/db/schema.ts';
import { projectRoot } from '../../src/paths.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/system.ts';
import { createVisitor } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';
import { type BuiltImage, followDockerfile } from './dockerfile.ts';

const REVISION = '0123456789abcdef0123456789abcdef01234567';

test("the Dockerfile's files and packages are enough to migrate an external database and serve the shop", async (t) => {
  const image = await followDockerfile(projectRoot, await temporaryFolder(t), { REVISION });
  const database = await testDatabase(t);
  const { url } = database;
  await runMigrationJob(image, database);
  const [program = '', ...args] = image.command;
  assert.equal(program, 'node');

  const shop = spawn(process.execPath, args, {
    cwd: image.workdir,
    env: {
      PATH: process.env.PATH,
      ...image.env,
      // The shop must not write there: a container's file system can be read-only.
      DATA_DIR: '/dev/null/data',
      DATABASE_URL: url,
      SESSION_KEYS: 'a key that only this test knows',
      HOST: '127.0.0.1',
      PORT: '0',
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: '0',
      WORKERS: '2',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  whenDone(t, () => shop.kill('SIGKILL'));
  const exited = once(shop, 'exit');
  let output = '';
  shop.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const { shopUrl, opsUrl } = await until('the shop is ready', () => {
    assert.equal(shop.exitCode, null, output);
    const line = output.split('\n').find((candidate) => candidate.includes('"shopUrl"'));
    return line === undefined ? undefined : (JSON.parse(line) as { shopUrl: string; opsUrl: string });
  });

  assert.equal(health(image.healthcheck, new URL(opsUrl).port), 0);
  const page = await createVisitor(shopUrl).get('/detail/1');
  assert.equal(page.status, 200);
  assert.match(page.text, /Mochila Urbana/);
  const picture = /src="([^"]+\.svg[^"]*)"/.exec(page.text)?.[1] ?? '';
  assert.equal((await fetch(new URL(picture, shopUrl))).status, 200);

  const scrape = parseExposition(await (await fetch(`${opsUrl}/metrics`)).text());
  assert.equal(scrape.of('shop_build_info', { revision: REVISION }), 1);
  assert.match(output, new RegExp(`^\\{[^\\n]*"revision":"${REVISION}"`), 'in the first line of the log');
  assert.equal(image.labels['org.opencontainers.image.revision'], REVISION);

  shop.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  assert.equal(health(image.healthcheck, new URL(opsUrl).port), 1);
});

/** Runs `npm run migrate` with the database alone in its environment: with an empty, a current and a newer database. */
async function runMigrationJob(image: BuiltImage, { url, knex }: TestDatabase): Promise<void> {
  await knex.migrate.rollback({ migrationSource }, true);
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...image.env, DATABASE_URL: url };
  const npm = (script: string) => spawnSync('npm', ['run', script], { cwd: image.workdir, env, encoding: 'utf8' });
  for (const expected of [/Batch 1 run: \d+ migrations/, /Already up to date/]) {
    const { status, stdout, stderr } = npm('migrate');
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, expected);
  }
  const later = { name: '9999-later', batch: 2, migration_time: new Date() };
  await knex('knex_migrations').insert(later);
  assert.equal(npm('migrate').status, 0, 'a database of a later release is no failure of the job');
  const refused = npm('migrate:rollback');
  assert.notEqual(refused.status, 0);
  assert.match(refused.stdout + refused.stderr, /9999-later is of a later release/);
  assert.equal(await knex.schema.hasTable('products'), true);
  await knex('knex_migrations').where({ name: later.name }).delete();
}

/** The exit code of the image's health check. */
function health([program = '', ...args]: readonly string[], metricsPort: string): number | null {
  assert.equal(program, 'node');
  return spawnSync(process.execPath, args, { env: { METRICS_PORT: metricsPort }, timeout: 10_000 }).status;
}
