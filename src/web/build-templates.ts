import { writeFileSync } from 'node:fs';
import { compileTemplates } from './templates.ts';

// `npm run build` runs this after the compiler: it writes the file that `loadTemplates` looks for.
writeFileSync(new URL('./templates.cjs', import.meta.url), compileTemplates());
