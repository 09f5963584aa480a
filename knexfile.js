// Knex looks for this file first. The configuration is knexfile.ts. The container image has only the compiled one. In the
// sources, tsx loads the TypeScript: Node.js 20 can't, and Knex's own loaders can't read ES modules in TypeScript.
import { existsSync } from 'node:fs';

async function load() {
  if (!existsSync(new URL('./knexfile.ts', import.meta.url))) return import('./dist/knexfile.js');
  const { tsImport } = await import('tsx/esm/api');
  return tsImport('./knexfile.ts', import.meta.url);
}

export default (await load()).default;
