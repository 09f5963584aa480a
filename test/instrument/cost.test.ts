import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { projectRoot } from '../../src/paths.ts';

const LONGEST_MICROSECONDS = 10;

test(`measuring a page with three queries costs ${LONGEST_MICROSECONDS} µs at most`, async (t) => {
  const page = join(projectRoot, 'bench/page.ts');
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', page]);
  t.diagnostic(`${stdout.trim()} µs`);
  assert.ok(Number(stdout) > 0 && Number(stdout) <= LONGEST_MICROSECONDS, `${stdout} µs`);
});
