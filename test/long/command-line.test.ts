import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { projectRoot } from '../../src/paths.ts';
import { testDatabase } from '../support/database.ts';
import { query, startOwner } from '../support/embedded.ts';
import { temporaryFolder } from '../support/system.ts';

const run = promisify(execFile);

/** Runs `npx knex …`. */
async function knexCommand(command: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await run(process.execPath, ['node_modules/knex/bin/cli.js', ...command.split(' ')], {
    cwd: projectRoot,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    timeout: 60_000,
  });
  return stdout;
}

test('npx knex migrates, rolls back and seeds the database of the environment', async (t) => {
  const { url, knex } = await testDatabase(t);
  const env = { DATABASE_URL: url, NODE_ENV: 'production' };
  assert.match(await knexCommand('migrate:status', env), /[1-9]\d* Completed.*0001-shop.*No Pending/s);
  assert.match(await knexCommand('migrate:rollback', env), /Batch 1 rolled back: \d+ migrations/);
  assert.equal(await knex.schema.hasTable('products'), false);
  assert.match(await knexCommand('migrate:status', env), /[1-9]\d* Pending.*0001-shop/s);
  assert.match(await knexCommand('migrate:latest', env), /Batch 1 run: \d+ migrations/);
  assert.match(await knexCommand('seed:run', env), /Ran 1 seed files/);
  assert.deepEqual(await knex('products').count({ products: '*' }).first(), { products: 24 });
});

test('npx knex uses the running embedded database or starts it', async (t) => {
  const folder = await temporaryFolder(t);
  const env = { DATA_DIR: folder };
  assert.match(await knexCommand('migrate:latest', env), /Batch 1 run: \d+ migrations/);

  const shop = await startOwner(t, folder);
  assert.match(await knexCommand('seed:run', env), /Ran 1 seed files/);
  assert.deepEqual(await query(shop.connection, 'select count(*)::int from products'), [{ count: 24 }]);
  await shop.end('SIGTERM');
});

test('npx knex reports mistakes in the environment', async () => {
  await assert.rejects(knexCommand('migrate:status', { DATABASE_URL: 'mysql://somewhere' }), {
    message: /DATABASE_URL must look like postgres:/,
  });
});
