import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { readPositions } from '../../src/debug/positions.ts';
import { projectRoot } from '../../src/paths.ts';

test('code is found by names that depend neither on the machine nor on the build', () => {
  const positions = readPositions();
  for (const [script, file] of [
    ['.builds/0123456789abcdef/src/web/templates.cjs', 'dist/src/web/templates.cjs'],
    ['node_modules/koa/lib/no-such-file.js', 'node_modules/koa/lib/no-such-file.js'],
    ['src/no-such-file.ts', 'src/no-such-file.ts'],
  ] as const) {
    const path = join(projectRoot, script);
    for (const url of [path, pathToFileURL(path).href]) {
      assert.deepEqual(positions.find(url, 4, 2), { file, line: 5, column: 3 });
    }
  }
  assert.deepEqual(positions.find('node:internal/timers', 0, 0), { file: 'node:internal/timers', line: 1, column: 1 });
});
