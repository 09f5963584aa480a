import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WORKER_EXEC_ARGV, workerExecArgv } from '../../src/cluster/worker-process.ts';

test("a worker gets the primary's flags, and the shop's own where the operator has chosen no size for new objects", () => {
  assert.deepEqual(workerExecArgv([]), WORKER_EXEC_ARGV);
  assert.deepEqual(workerExecArgv(['--no-warnings'], '--max-old-space-size=512'), [
    '--no-warnings',
    ...WORKER_EXEC_ARGV,
  ]);
  assert.deepEqual(workerExecArgv([], '--no-warnings --max-semi-space-size=64'), []);
  for (const chosen of ['--max-semi-space-size=64', '--max_semi_space_size=64']) {
    assert.deepEqual(workerExecArgv(['--no-warnings', chosen]), ['--no-warnings', chosen]);
  }
});
