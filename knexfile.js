// Knex looks for this name first. Node.js 20 can't read TypeScript by itself, and Knex knows no loader that can read
// ES modules in TypeScript; so this file brings one. The configuration is knexfile.ts.
import { tsImport } from 'tsx/esm/api';

const { default: config } = await tsImport('./knexfile.ts', import.meta.url);
export default config;
