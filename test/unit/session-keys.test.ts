import assert from 'node:assert/strict';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { keptSessionKeys } from '../../src/cluster/session-keys.ts';
import { temporaryFolder } from '../support/system.ts';

test('keys are generated once, readable by this user alone, and the same at the next start', async (t) => {
  const parent = await temporaryFolder(t);
  for (let round = 0; round < 30; round++) {
    const folder = join(parent, `new-${round}`);
    const starts = await Promise.all(Array.from({ length: 5 }, () => keptSessionKeys(folder)));
    const [made = []] = starts;
    assert.equal(made.length, 1);
    for (const keys of starts) assert.deepEqual(keys, made);
    assert.deepEqual(await readdir(folder), ['session-keys']);
    assert.equal((await stat(join(folder, 'session-keys'))).mode & 0o777, 0o600);
  }
});

test('existing keys are only read, so the folder may be read-only, full or without hard links', async (t) => {
  const folder = await temporaryFolder(t);
  const keys = await keptSessionKeys(folder);
  await utimes(folder, 1, 1);
  assert.deepEqual(await keptSessionKeys(folder), keys);
  assert.equal((await stat(folder)).mtimeMs, 1000, 'a draft, also one that is gone again, changes the time');
});

test('a damaged key file is reported with its name and the remedy, and stays unchanged', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'session-keys');
  const whole = 'a-key-of-enough-characters';
  for (const damage of [
    '',
    '\n\n',
    'short\n',
    '\0'.repeat(44),
    `${whole}\0\0\0`,
    `${whole}\n\0\0\n`,
    '\uFFFD\uFFFD\uFFFD'.repeat(9),
  ]) {
    await writeFile(file, damage);
    await assert.rejects(keptSessionKeys(folder), (error: Error) => {
      assert.ok(error.message.startsWith(`${file} is damaged:`), error.message);
      assert.match(error.message, /remove it, and a new one is made/);
      assert.ok(!error.message.includes(whole), 'the error shows no key');
      return true;
    });
  }
  await writeFile(file, `${whole}\nan-older-key-than-that\n`);
  assert.deepEqual(await keptSessionKeys(folder), [whole, 'an-older-key-than-that']);
});

test('a folder that cannot hold the key file is reported with the variables that help', async (t) => {
  const folder = await temporaryFolder(t);
  await assert.rejects(
    keptSessionKeys('/dev/null/data'),
    /^StartError: .*\/dev\/null\/data.*SESSION_KEYS, or DATA_DIR/,
  );
  await mkdir(join(folder, 'session-keys'));
  await assert.rejects(keptSessionKeys(folder), /session-keys.*SESSION_KEYS, or DATA_DIR/);
  await rm(join(folder, 'session-keys'), { recursive: true });
  await keptSessionKeys(folder);
});
