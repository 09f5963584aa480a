import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Reads the keys that sign session cookies, made at the first start and kept in `dataDir`, so that a restart
 * logs nobody out.
 *
 * @returns newest first
 */
export async function keptSessionKeys(dataDir: string): Promise<readonly string[]> {
  const file = join(dataDir, 'session-keys');
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await writeOnce(file, `${randomBytes(32).toString('base64url')}\n`);
  const keys = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
  if (keys.length === 0)
    throw new Error(`${file} holds no key: remove it, and a new one is made (visitors lose their carts)`);
  return keys;
}

/** Whole or not at all, and never over a file that is there: of two that start at once, both read the same. */
async function writeOnce(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, text, { mode: 0o600 });
  try {
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft);
  }
}
