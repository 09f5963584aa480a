/*
 * `npm run dashboards`: writes the dashboards, and their drawings in docs/distributed.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { projectRoot } from '../../../src/paths.ts';
import { generate } from './boards.ts';

for (const { path, content } of generate()) {
  const file = join(projectRoot, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  process.stdout.write(`${path}\n`);
}
