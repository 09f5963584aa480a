import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from './paths.ts';

export interface BuildInfo {
  /** Version of the shop, as package.json has it. */
  readonly version: string;
  /** Git commit of the build, with `-dirty` behind it when the tree had other changes; `unknown` without git. */
  readonly revision: string;
}

/** Written by scripts/compile.cjs, beside the built form of this file. */
const REVISION_FILE = fileURLToPath(new URL('./revision.txt', import.meta.url));

/** Version and revision of this program. Code that runs unbuilt, in a test, has no revision. */
export function readBuildInfo(): BuildInfo {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  return { version, revision: existsSync(REVISION_FILE) ? readFileSync(REVISION_FILE, 'utf8') : 'unknown' };
}
