// Removes the types that no caller of the package can reach from `dist`, for a smaller tarball.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ENTRIES = ['dist/index.d.ts', 'dist/testing/index.d.ts'];
const IMPORT = /(?:from |import\()'(\.[^']+)\.ts'/g;

const reached = new Set();
const reach = (file) => {
  if (reached.has(file)) return;
  reached.add(file);
  for (const [, path] of readFileSync(file, 'utf8').matchAll(IMPORT)) reach(join(dirname(file), `${path}.d.ts`));
};
ENTRIES.forEach(reach);

for (const name of readdirSync('dist', { recursive: true })) {
  const file = join('dist', name);
  if (file.endsWith('.d.ts') && !reached.has(file)) rmSync(file);
}
