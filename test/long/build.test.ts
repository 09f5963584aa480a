import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { copyProject, installPackages } from './project-copy.ts';

function build(folder: string, ...options: string[]) {
  return run(folder, [process.execPath, 'scripts/build.cjs', ...options]);
}

async function run(
  folder: string,
  [command = '', ...args]: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number; said: string }> {
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const [code] = await once(child, 'close');
  return { code, said };
}

const FOR_TESTS = '--with-tests';
const DONE = { code: 0, said: '' };

test('the build runs once, is put in place in one step, and keeps no removed file', async (t) => {
  const folder = await copyProject(t);
  await installPackages(folder);
  const builds = () => readdir(join(folder, '.builds'));

  // Two builds at the same time, as of `npm start` and `npm test` in two terminals.
  assert.deepEqual(await Promise.all([build(folder), build(folder, FOR_TESTS)]), [DONE, DONE]);
  const first = await readlink(join(folder, 'dist'));
  assert.equal((await builds()).length, 1);
  assert.deepEqual(await build(folder), DONE);
  assert.equal(await readlink(join(folder, 'dist')), first);

  const shop = await startCluster(t, { folder, workers: 2 });
  const before = (await shop.status()).workers;
  await writeFile(join(folder, 'src/new.ts'), 'export const made = true;\n');
  const page = join(folder, 'templates/contact.pug');
  await writeFile(page, (await readFile(page, 'utf8')).replace(/^( *)h1.*$/m, '$1h1 Another build'));
  assert.deepEqual(await build(folder), DONE);
  assert.notEqual(await readlink(join(folder, 'dist')), first);
  assert.ok(existsSync(join(folder, 'dist/src/new.js')));

  // Running workers keep their build. A replacement starts with the new one.
  const text = () => until('the page is served', async () => (await shop.visitor().get('/contact')).text);
  assert.doesNotMatch(await text(), /Another build/);
  // One after the other: the system's choice of the port is lost with the last worker that listens on it.
  for (const { worker, pid } of before) {
    process.kill(pid as number, 'SIGKILL');
    await until('it is replaced', async () => {
      const { workers } = await shop.status();
      return workers.every((now) => now.state === 'serving' && (now.worker !== worker || now.restarts === 1));
    });
  }
  assert.match(await text(), /Another build/);
  await shop.stop();

  await rm(join(folder, 'src/new.ts'));
  assert.deepEqual(await build(folder), DONE);
  assert.ok(!existsSync(join(folder, 'dist/src/new.js')));

  await writeFile(join(folder, 'src/wrong.ts'), 'export const wrong: string = 1;\n');
  const { code, said } = await build(folder);
  assert.equal(code, 1);
  assert.match(said, /src\/wrong\.ts.*TS2322.*The build failed/s);
  for (const name of await builds()) assert.match(name, /^[0-9a-f]+$/, 'no draft is left');
  assert.ok(existsSync(join(folder, 'dist/src/main.js')), 'the last good build stays');
});

test('the build has its git commit, even when only the commit has changed', async (t) => {
  const folder = await copyProject(t);
  await installPackages(folder);
  await cp(join(projectRoot, '.gitignore'), join(folder, '.gitignore'));
  const revision = () => readFile(join(folder, 'dist/src/revision.txt'), 'utf8');
  const git = async (...args: string[]) => {
    const author = ['-c', 'user.name=Test', '-c', 'user.email=test@localhost'];
    const { code, said } = await run(folder, ['git', ...author, ...args]);
    assert.equal(code, 0, said);
    return said.trim();
  };
  assert.deepEqual(await build(folder), DONE);
  assert.equal(await revision(), 'unknown');

  await git('init', '--quiet');
  await git('add', '.');
  await git('commit', '--quiet', '--message=first');
  const first = await git('rev-parse', 'HEAD');
  assert.deepEqual(await build(folder), DONE);
  assert.equal(await revision(), first);

  const compiled = await readlink(join(folder, 'dist'));
  await writeFile(join(folder, 'untracked.md'), '');
  assert.deepEqual(await build(folder), DONE);
  assert.equal(await revision(), `${first}-dirty`);
  await git('add', '.');
  await git('commit', '--quiet', '--message=second');
  assert.deepEqual(await build(folder), DONE);
  assert.equal(await revision(), await git('rev-parse', 'HEAD'));
  assert.equal(await readlink(join(folder, 'dist')), compiled, 'the compiler was not needed');
});

test('a folder that an older version built in place is replaced', async (t) => {
  const folder = await copyProject(t);
  await installPackages(folder);
  await mkdir(join(folder, 'dist/src'), { recursive: true });
  await writeFile(join(folder, 'dist/src/stale.js'), '');
  assert.deepEqual(await build(folder), DONE);
  assert.ok(existsSync(join(folder, 'dist/src/main.js')) && !existsSync(join(folder, 'dist/src/stale.js')));
});

test('npm start builds when npm ignores scripts, and so does the command without npm', async (t) => {
  const commands = [['npm', 'start', '--silent']];
  if (Number(process.versions.node.split('.')[0]) >= 22) commands.push([process.execPath, '--run', 'start']);
  for (const command of commands) {
    const folder = await copyProject(t);
    await installPackages(folder);
    // The wrong setting ends the shop right after its build.
    const { code, said } = await run(folder, command, { npm_config_ignore_scripts: 'true', PORT: 'http' });
    assert.equal(code, 1);
    assert.match(said, /^The environment has a mistake:\n {2}PORT must be a TCP port/);
  }
});

test('a build without packages or with other versions names the command that helps', async (t) => {
  const folder = await copyProject(t);
  for (const options of [[], [FOR_TESTS]]) {
    const { code, said } = await build(folder, ...options);
    assert.equal(code, 1);
    assert.match(said, /^The packages in node_modules are not complete \(.+ is missing\): run "npm ci" first\.\n$/);
  }
  await installPackages(folder, ['koa']);
  await mkdir(join(folder, 'node_modules/koa'));
  await writeFile(join(folder, 'node_modules/koa/package.json'), '{ "version": "1.0.0" }');
  assert.match((await build(folder)).said, /^[^\n]*koa is 1\.0\.0 instead of [\d.]+\): run "npm ci" first\.\n$/);
});

test('a start after a production install names the command that builds, or serves an earlier build', async (t) => {
  const folder = await copyProject(t);
  const development = ['typescript', 'tsx', 'playwright-core'];
  await installPackages(folder, development);
  const unbuilt = await build(folder);
  assert.equal(unbuilt.code, 1);
  assert.match(unbuilt.said, /^[^\n]*the compiler is missing[^\n]*run "npm ci --include=dev"[^\n]*\n$/);
  assert.match((await build(folder, FOR_TESTS)).said, /^The packages [^\n]* is missing\): run "npm ci[^\n]*\n$/);

  await installPackages(folder);
  assert.deepEqual(await build(folder), DONE);
  await installPackages(folder, development);
  assert.deepEqual(await build(folder), DONE);
});
