import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, lchown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StartError } from '../../start-error.ts';
import { type Account, type Binaries, serverEnvironment } from './program.ts';
import { SUPERUSER } from './roles.ts';

const run = promisify(execFile);
const INITDB_DEADLINE_MS = 120_000;
const UNFINISHED = 'postgres-unfinished-';
/** Also matches a password that a person has set. */
const PASSWORD = /^[\x21-\x7e]{8,}$/;

/** Paths in the data folder. */
export interface ClusterPaths {
  readonly folder: string;
  /** PostgreSQL's own data folder. */
  readonly cluster: string;
  readonly password: string;
  readonly log: string;
}

/** @param folder the data folder, absolute and without symbolic links */
export function clusterPaths(folder: string): ClusterPaths {
  return {
    folder,
    cluster: join(folder, 'postgres'),
    password: join(folder, 'postgres-password'),
    log: join(folder, 'postgres.log'),
  };
}

/**
 * Makes the database's files if there are none; else checks them.
 *
 * They are made in a folder beside and renamed when complete, so that a start which was cut off leaves nothing that
 * looks like a database.
 *
 * @returns the superuser's password, generated once and readable by our user alone
 * @throws {StartError} naming the file and the remedy, when the files are damaged, of another major version, or their
 *   password is lost
 */
export async function provideCluster(paths: ClusterPaths, binaries: Binaries, account: Account): Promise<string> {
  await removeUnfinished(paths.folder);
  const password = await readText(paths.password);
  if (password !== undefined && !PASSWORD.test(password)) {
    throw new StartError(
      `${paths.password} is damaged: it holds no password. Bring it back from a backup, or remove it and ${paths.cluster} to start with an empty shop.`,
    );
  }
  if (await isEmpty(paths.cluster)) return createCluster(paths, binaries, account, password);

  await checkVersion(paths.cluster, account.version);
  if (password === undefined) {
    throw new StartError(
      `${paths.password} is gone, and with it the way into ${paths.cluster}. Bring it back, or remove the folder to start with an empty shop.`,
    );
  }
  const { uid, mode } = await stat(paths.cluster);
  if (uid !== account.uid) await chownAll(paths.cluster, account);
  // As a copy without `cp -p` has it: PostgreSQL refuses a folder that others can use.
  if ((mode & 0o027) !== 0) await chmod(paths.cluster, 0o700);
  return password;
}

/** @param program version of the program that is to run on these files, as `18.4` */
async function checkVersion(cluster: string, program: string): Promise<void> {
  const file = join(cluster, 'PG_VERSION');
  const found = await readText(file);
  const major = program.split('.')[0];
  if (found === major) return;
  const complete = (await readdir(cluster)).includes('global');
  if (found === undefined && !complete) {
    throw new StartError(
      `${cluster} holds something else than a database: move it away, or set DATA_DIR to another folder.`,
    );
  }
  if (found !== undefined && /^\d+(\.\d+)?$/.test(found)) {
    throw new StartError(
      `${cluster} was made by PostgreSQL ${found}, this is ${program}. Move its data with ${found}'s pg_dump, or remove the folder to start with an empty shop.`,
    );
  }
  const fault = found === undefined ? 'is gone' : 'is damaged: it holds no version number';
  throw new StartError(
    `${file} ${fault}. Bring ${cluster} back from a backup; if nothing else in it was touched, this is enough: echo ${major} > '${file}'`,
  );
}

async function createCluster(
  paths: ClusterPaths,
  binaries: Binaries,
  account: Account,
  kept: string | undefined,
): Promise<string> {
  const password = kept ?? randomBytes(24).toString('base64url');
  if (kept === undefined) await writeWhole(paths.password, password);

  const unfinished = join(paths.folder, `${UNFINISHED}${randomBytes(4).toString('hex')}`);
  await mkdir(unfinished, { mode: 0o700 });
  if (process.getuid?.() === 0) await chown(unfinished, account.uid, account.gid);
  const [command = '', ...args] = [
    ...account.prefix,
    binaries.initdb,
    `--pgdata=${unfinished}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${paths.password}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // The system's locales differ from machine to machine; ICU comes with the program and sorts as Brazilians do.
    '--locale=C',
    '--locale-provider=icu',
    '--icu-locale=pt-BR',
  ];
  try {
    await run(command, args, { timeout: INITDB_DEADLINE_MS, env: serverEnvironment(), cwd: '/' });
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    const { stderr } = error as { stderr?: string };
    throw new StartError(`PostgreSQL could not make its files in ${paths.folder}: ${stderr?.trim() ?? ''}`, {
      cause: error,
    });
  }
  await rename(unfinished, paths.cluster);
  return password;
}

/**
 * An initdb that lost its owner may still write for a moment: files that can't be removed now are removed at the next
 * start.
 */
async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(UNFINISHED)) continue;
    await rm(join(folder, name), { recursive: true, force: true }).catch(() => {});
  }
}

/** A file that is there is complete, even after a crash or a loss of power. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new StartError(
      `${path} can't be read (${message}): give it back to this user (uid ${process.getuid?.()}), or set DATA_DIR to another folder.`,
      { cause: error },
    );
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    throw new StartError(
      `${folder} can't be used as a folder (${message}): move it away, or set DATA_DIR to another one.`,
      {
        cause: error,
      },
    );
  }
}

async function chownAll(folder: string, account: Account): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    await lchown(join(entry.parentPath, entry.name), account.uid, account.gid);
  }
  await chown(folder, account.uid, account.gid);
}
