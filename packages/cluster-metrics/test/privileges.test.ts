import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { chmodSync, cpSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { projectRoot } from '../../../src/paths.ts';
import { temporaryFolder } from '../../../test/support/system.ts';
import { ClusterRegistry, createStoreDirectory, type StoreProblem } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';

/** A user without rights: `nobody` on most systems. */
const NOBODY = 65534;
/** The files that a worker loads. The project itself may be in a folder that only its owner may enter. */
const PARTS = [
  'packages/cluster-metrics/package.json',
  'packages/cluster-metrics/dist',
  'packages/cluster-metrics/test/support/many-lives.mjs',
  'node_modules/prom-client',
  'node_modules/tdigest',
  'node_modules/bintrees',
  'node_modules/@opentelemetry/api',
];

async function copyForAnyone(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const part of PARTS) cpSync(realpathSync(join(projectRoot, part)), join(folder, part), { recursive: true });
  chmodSync(folder, 0o755);
  return folder;
}

const skip = process.getuid?.() === 0 ? false : 'only root may start a process as another user';

test('workers that run as another user are read', { skip }, async (t) => {
  const directory = createStoreDirectory({ name: 'privileges' });
  const problems: StoreProblem[] = [];
  const registry = new ClusterRegistry({ directory: directory.path, onProblem: (problem) => problems.push(problem) });
  t.after(() => {
    registry.close();
    directory.remove();
  });
  const cwd = await copyForAnyone(t);
  const exec = join(cwd, 'packages/cluster-metrics/test/support/many-lives.mjs');
  // Without this process's loader, which is not in that folder.
  cluster.setupPrimary({ exec, execArgv: [], cwd, args: [directory.path, '1', '1'], uid: NOBODY, gid: NOBODY });
  for (let life = 1; life <= 2; life++) {
    const worker = cluster.fork();
    await once(worker, 'message');
    const [file = ''] = readdirSync(directory.path);
    assert.equal(statSync(join(directory.path, file)).uid, NOBODY);
    const samples = parseExposition(await registry.clusterMetrics());
    assert.equal(samples.of('acts_total'), life);
    assert.equal(samples.of('place{worker="1"}'), 1);
    worker.process.kill('SIGKILL');
    await once(worker, 'exit');
    assert.equal(parseExposition(await registry.clusterMetrics()).of('acts_total'), life);
    assert.deepEqual(readdirSync(directory.path), []);
  }
  assert.equal(statSync(directory.path).mode & 0o777, 0o700);
  assert.deepEqual(problems, []);
});

test('a folder may be made for the workers of another user', { skip }, () => {
  const directory = createStoreDirectory({ name: 'privileges', uid: NOBODY });
  try {
    assert.equal(statSync(directory.path).uid, NOBODY);
    assert.equal(statSync(directory.path).gid, process.getgid?.());
  } finally {
    directory.remove();
  }
});

test('a folder that cannot be given to the workers is reported', async (t) => {
  const directory = createStoreDirectory({ name: 'privileges' });
  const problems: StoreProblem[] = [];
  const registry = new ClusterRegistry({ directory: directory.path, onProblem: (problem) => problems.push(problem) });
  t.after(() => registry.close());
  directory.remove();
  cluster.setupPrimary({ uid: NOBODY });
  await once(cluster, 'setup');
  cluster.setupPrimary({ uid: NOBODY });
  await once(cluster, 'setup');
  assert.deepEqual(
    problems.map(({ kind, file }) => ({ kind, file })),
    [{ kind: 'unwritable', file: directory.path }],
  );
  assert.match(problems[0]?.message ?? '', /the workers' user/);
});
