import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, chown, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { projectRoot } from '../../../src/paths.ts';
import { allGone, assertKept, keep, startOwner } from '../../support/embedded.ts';
import { temporaryFolder } from '../../support/system.ts';

const NOBODY = 65_534;
/** A user as OpenShift gives to each container. */
const NAMELESS = 54_321;
/** These tests change their user, which only root can. */
const skip = process.getuid?.() === 0 ? false : 'only root can become another user';

/** A PATH in which these programs fail, as they do on a system that forbids what they need. */
async function without(t: TestContext, ...programs: string[]): Promise<NodeJS.ProcessEnv> {
  const folder = await temporaryFolder(t);
  for (const program of programs) {
    await writeFile(join(folder, program), '#!/bin/sh\necho "Operation not permitted" >&2\nexit 1\n');
    await chmod(join(folder, program), 0o755);
  }
  return { PATH: folder + delimiter + process.env.PATH };
}

/** Changes to another user who can still read the project, wherever it is. */
function withCapability(uid: number): string[] {
  return [
    ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'],
    ...['--securebits=+no_setuid_fixup', '--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--'],
  ];
}

function withoutCapability(uid: number): string[] {
  return withCapability(uid).filter((option) => !/caps|securebits/.test(option));
}

/** Whether this user can read the project without the capability. */
function canReadProject(uid: number): boolean {
  const [setpriv = '', ...rest] = [...withoutCapability(uid), 'test', '-r', join(projectRoot, 'package.json')];
  return spawnSync(setpriv, rest).status === 0;
}

const owner = async (folder: string) => (await stat(join(folder, 'postgres'))).uid;

test('root runs the database in a folder that only root can enter', { skip }, async (t) => {
  const folder = await temporaryFolder(t, homedir());
  const postgres = await startOwner(t, folder);
  await keep(postgres.connection);
  await postgres.end('SIGTERM');
  assert.equal(await owner(folder), 0);
});

test('root runs the database as nobody in any folder where user namespaces are forbidden', { skip }, async (t) => {
  const folder = await temporaryFolder(t, homedir());
  const first = await startOwner(t, folder, { env: await without(t, 'unshare') });
  await keep(first.connection);
  await first.end('SIGTERM');
  assert.equal(await owner(folder), NOBODY);

  const second = await startOwner(t, folder);
  await assertKept(second.connection);
  await second.end('SIGTERM');
  assert.equal(await owner(folder), NOBODY, 'files that can be used as they are stay as they are');
});

test('the files change owner when root must run the database as another account than before', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  const first = await startOwner(t, folder);
  await keep(first.connection);
  await first.end('SIGTERM');

  const second = await startOwner(t, folder, { env: await without(t, 'unshare') });
  await assertKept(second.connection);
  await second.end('SIGTERM');

  const third = await startOwner(t, folder, { env: await without(t, 'setpriv') });
  await assertKept(third.connection);
  await third.end('SIGTERM');
});

test('root gets advice when no account can run the database', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  await assert.rejects(startOwner(t, folder, { env: await without(t, 'unshare', 'setpriv') }), (error: Error) => {
    assert.match(error.message, /as a normal user, or set DATABASE_URL/);
    assert.match(error.message, /unshare --user.*Operation not permitted/);
    assert.match(error.message, /setpriv .*Operation not permitted/);
    return true;
  });
});

test('a normal user needs nothing and gets an error for files of root', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  await chown(folder, NOBODY, NOBODY);
  // The user `nobody` may read the project in any folder. The program takes it for a normal user.
  const asNobody = { prefix: withCapability(NOBODY), env: { HOME: folder, TMPDIR: folder } };
  const first = await startOwner(t, folder, asNobody);
  await keep(first.connection);
  await first.end('SIGKILL');
  await allGone(folder);
  const second = await startOwner(t, folder, asNobody);
  await assertKept(second.connection);
  await second.end('SIGTERM');

  await chown(join(folder, 'postgres'), 0, 0);
  await assert.rejects(startOwner(t, folder, asNobody), /belongs to another user \(uid 0\)/);

  await chown(folder, 0, 0);
  if (canReadProject(NOBODY)) {
    const plain = { prefix: withoutCapability(NOBODY), env: { HOME: folder } };
    await assert.rejects(startOwner(t, folder, plain), /can't be written by this user \(uid 65534\)/);
  }
});

test('a user without a name runs the database where user namespaces are allowed and gets advice elsewhere', {
  skip,
}, async (t) => {
  const folder = await temporaryFolder(t);
  await chown(folder, NAMELESS, NAMELESS);
  const nameless = { prefix: withCapability(NAMELESS), env: { HOME: '/', TMPDIR: folder } };
  // A user namespace takes the capability away.
  if (canReadProject(NAMELESS)) {
    const first = await startOwner(t, folder, nameless);
    await keep(first.connection);
    await first.end('SIGTERM');
    assert.equal(await owner(folder), NAMELESS);
    const second = await startOwner(t, folder, nameless);
    await assertKept(second.connection);
    await second.end('SIGTERM');
  }

  const forbidden = { ...nameless, env: { ...nameless.env, ...(await without(t, 'unshare')) } };
  await assert.rejects(startOwner(t, folder, forbidden), /uid 54321 is not in \/etc\/passwd.*set DATABASE_URL/s);
});
