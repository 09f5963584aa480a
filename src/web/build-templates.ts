import { writeFileSync } from 'node:fs';
import { compileTemplates } from './templates.ts';

// Run by `npm run build`, after the compiler: writes what `loadTemplates` looks for.
writeFileSync(new URL('./templates.cjs', import.meta.url), compileTemplates());
