// Knex looks for this name first. In the container image there is only what the build has made. From the sources, Node.js 20
// can't read TypeScript by itself, and Knex knows no loader that can read ES modules in TypeScript; so this file brings one.
// The configuration is knexfile.ts.
import { existsSync } from 'node:fs';

async function load() {
  if (!existsSync(new URL('./knexfile.ts', import.meta.url))) return import('./dist/knexfile.js');
  const { tsImport } = await import('tsx/esm/api');
  return tsImport('./knexfile.ts', import.meta.url);
}

export default (await load()).default;
