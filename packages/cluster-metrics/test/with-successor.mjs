// Runs all tests of the package with @prometheus-io/client, the successor of prom-client, in prom-client's place: all registries
// and metrics of the package extend prom-client's. Node.js 22.15 or newer, since the hook that exchanges the two is that new.
//
// The successor is installed in a scratch folder, unless SUCCESSOR names a folder that has it.
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const VERSION = '0.16.1';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'successor-'));
try {
  process.exitCode = runTests(process.env.SUCCESSOR ?? install());
} finally {
  rmSync(scratch, { recursive: true });
}

/** @returns the folder of the package */
function install() {
  run('npm', ['install', '--silent', '--prefix', scratch, `@prometheus-io/client@${VERSION}`]);
  return join(scratch, 'node_modules/@prometheus-io/client');
}

/** @returns the exit code */
function runTests(successor) {
  run(process.execPath, ['scripts/build.cjs', '--with-tests']);
  const files = globSync('packages/cluster-metrics/test/*.test.ts', { cwd: root });
  // In the environment, as the tests start processes of their own.
  const preload = `--import ${pathToFileURL(join(import.meta.dirname, 'support/successor.mjs'))}`;
  const env = { ...process.env, SUCCESSOR: successor, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} ${preload}` };
  const options = ['--import', 'tsx', '--test', '--test-concurrency=3', '--test-timeout=300000'];
  return spawnSync(process.execPath, [...options, ...files], { cwd: root, env, stdio: 'inherit' }).status ?? 1;
}

function run(program, args) {
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed`);
}
