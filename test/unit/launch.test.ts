import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { projectRoot } from '../../src/paths.ts';

interface Launch {
  program: string;
  preLaunchTask: string;
  env?: Record<string, string>;
}

const read = (path: string) => JSON.parse(readFileSync(join(projectRoot, path), 'utf8'));

test("the debugger's configurations name a program, a script and variables that exist", () => {
  const { scripts } = read('package.json');
  const [shop, testFile, ...others] = read('.vscode/launch.json').configurations as Launch[];
  assert.ok(shop && testFile);
  assert.deepEqual(others, []);
  for (const { preLaunchTask } of [shop, testFile]) assert.ok(preLaunchTask.replace(/^npm: /, '') in scripts);
  assert.ok(existsSync(shop.program.replace(/^\$\{workspaceFolder\}/, projectRoot)));
  assert.match(testFile.program, /^\$\{file\}$/);
  // A worker at a breakpoint must not be taken for a hanging one.
  assert.ok(readConfig(shop.env ?? {}).hangSeconds >= 3600);
});
