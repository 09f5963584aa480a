import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '../start-error.ts';

/** A line of the file; the same minimum as for `SESSION_KEYS`. */
const KEY = /^[\x21-\x7e]{16,}$/;

/**
 * Reads the keys that sign session cookies. They are made at the first start and kept in `dataDir`, so that visitors
 * keep their sessions over a restart.
 *
 * @returns newest first
 * @throws {StartError} naming the file and the remedy, when it can't be read or is damaged
 */
export async function keptSessionKeys(dataDir: string): Promise<readonly string[]> {
  const file = join(dataDir, 'session-keys');
  const keys = await readOrMake(dataDir, file).catch((error: Error) => {
    throw new StartError(
      `The session keys can't be kept in ${file} (${error.message}): set SESSION_KEYS, or DATA_DIR to a folder that this user can write.`,
      { cause: error },
    );
  });
  if (keys.length === 0 || !keys.every((key) => KEY.test(key))) {
    throw new StartError(
      `${file} is damaged: each line must be a key of at least 16 characters. Bring it back from a backup; or remove it, and a new one is made (visitors lose their carts).`,
    );
  }
  return keys;
}

async function readOrMake(dataDir: string, file: string): Promise<string[]> {
  const text = (await readIfThere(file)) ?? (await make(dataDir, file));
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function make(dataDir: string, file: string): Promise<string> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await writeOnce(file, `${randomBytes(32).toString('base64url')}\n`);
  return readFile(file, 'utf8');
}

/** Whole or not at all, and never over a file that is there: of two that start at once, both read the same. */
async function writeOnce(file: string, text: string): Promise<void> {
  // No pid in the name: it is the same in two containers that share the folder.
  const draft = `${file}.${randomUUID()}`;
  try {
    await writeFile(draft, text, { mode: 0o600, flush: true });
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
}
