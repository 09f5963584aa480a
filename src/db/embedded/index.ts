import { access, constants, mkdir, readFile, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DatabaseConnection } from '../../config.ts';
import type { Logger } from '../../log.ts';
import { type Deferred, deferred } from '../../promises.ts';
import { StartError } from '../../start-error.ts';
import { claimFolder } from './claim.ts';
import { clusterPaths, provideCluster } from './cluster-folder.ts';
import { freePort } from './port.ts';
import { isRunning, readPostmaster, stopLeftover } from './postmaster.ts';
import { findAccount, findBinaries } from './program.ts';
import { type Server, type ServerOptions, ServerStartError, serverConnection, startServer } from './server.ts';

const SECOND = 1000;
const START_ATTEMPTS = 20;
const RETRY_MS = 250;
const BACKOFF_MS = { first: 100, last: 5 * SECOND };

export interface EmbeddedPostgres {
  /** The same for as long as this object lives, also when the server was started again. */
  readonly connection: DatabaseConnection;
  /** False from the moment the server is found dead until it answers again. */
  up(): boolean;
  /**
   * Stops the server, its data safe, and keeps it down.
   *
   * @returns starts it again; it answers some time later
   */
  suspend(): Promise<() => void>;
  /** Stops the server, its data safe, and releases the folder. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Holds the database, its password and its log. Made if it is not there. */
  readonly dataDir: string;
  readonly log: Logger;
  /** PostgreSQL's settings, as `{ max_connections: '200' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /**
   * Called when this process has claimed the folder, before anything is made in it. An error that it throws ends the
   * start.
   */
  readonly whenClaimed?: () => Promise<void>;
}

/**
 * Runs a real PostgreSQL of our own, on a free port of 127.0.0.1, as long as this process lives: it ends with
 * {@link EmbeddedPostgres.stop} or by itself when the process is gone, and is started again when it dies before.
 *
 * Nothing but the npm packages is needed, for a normal user and for root, in any folder.
 *
 * @throws {FolderInUseError} while another process runs a database in `dataDir`
 * @throws {StartError} when it can't start, with the remedy
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { log, settings = {} } = options;
  ignorePgVariables();
  const paths = clusterPaths(await provideFolder(resolve(options.dataDir)));
  const release = await claimFolder(paths.folder, log);
  try {
    await options.whenClaimed?.();
    const binaries = await findBinaries();
    const account = await findAccount(binaries.postgres, paths.folder, paths.cluster);
    const stalePid = await stopLeftover(paths.cluster);
    const password = await provideCluster(paths, binaries, account);
    const server = { paths, binaries, account, password, settings };
    const { port, first } = await startSomewhere(server, stalePid);
    log.info({ port, version: account.version, folder: paths.cluster }, 'the embedded PostgreSQL is up');
    return keepRunning(server, port, first, log, release);
  } catch (error) {
    await release();
    throw error;
  }
}

/** @returns the folder without symbolic links, so that it has one name only */
async function provideFolder(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await access(dataDir, constants.W_OK | constants.X_OK);
    return await realpath(dataDir);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new StartError(
      code === 'EACCES' || code === 'EPERM'
        ? `${dataDir} can't be written by this user (uid ${process.getuid?.()}): was the shop started as root before? Give the folder back with chown -R, or set DATA_DIR to another folder.`
        : `${dataDir} can't be used as a folder (${message}): set DATA_DIR to another one.`,
      { cause: error },
    );
  }
}

/** Tries other ports: between finding a free port and listening there, another program may take it. */
async function startSomewhere(server: ServerOptions, stalePid: number | undefined) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      return { port, first: await startServer(server, port, stalePid) };
    } catch (error) {
      if (!(error instanceof ServerStartError) || attempt === START_ATTEMPTS) throw error;
      if (error.formerStillThere) await delay(RETRY_MS);
      else if (!error.portTaken) throw error;
    }
  }
}

function keepRunning(
  options: ServerOptions,
  port: number,
  first: Server,
  log: Logger,
  release: () => Promise<void>,
): EmbeddedPostgres {
  let server: Server | undefined = first;
  let stopped: Promise<void> | undefined;
  /** While the server is kept down. */
  let suspended: Deferred<void> | undefined;
  const stopping = new AbortController();
  const running = keepUp();

  async function keepUp(): Promise<void> {
    while (server) {
      const how = await server.ended;
      server = undefined;
      if (suspended) await suspended.promise;
      else if (!stopping.signal.aborted)
        log.error({ how }, 'the embedded PostgreSQL ended unexpectedly and is started again');
      if (stopping.signal.aborted) return;
      server = await startAgain();
    }
  }

  async function startAgain(): Promise<Server | undefined> {
    for (let wait = BACKOFF_MS.first; !stopping.signal.aborted; wait = Math.min(wait * 2, BACKOFF_MS.last)) {
      try {
        const again = await startServer(options, port, await stopLeftover(options.paths.cluster));
        if (stopping.signal.aborted) {
          await again.stop();
          return undefined;
        }
        log.info({ port }, 'the embedded PostgreSQL is up again');
        return again;
      } catch (error) {
        log.error({ err: error }, 'the embedded PostgreSQL did not start again');
        await delay(wait, undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
    return undefined;
  }

  async function suspend(): Promise<() => void> {
    const pause = deferred();
    suspended = pause;
    await server?.stop();
    return function resume() {
      suspended = undefined;
      pause.resolve();
    };
  }

  async function stop(): Promise<void> {
    stopping.abort();
    suspended?.resolve();
    await server?.stop();
    await running;
    await stopLeftover(options.paths.cluster);
    await release();
  }

  return {
    connection: serverConnection(port, options.password),
    up: () => server !== undefined,
    suspend,
    stop: () => (stopped ??= stop()),
  };
}

/**
 * Connection to the database that another process, such as `npm start`, runs in a data folder now; `undefined` when
 * none does.
 */
export async function findRunningPostgres(dataDir: string): Promise<DatabaseConnection | undefined> {
  const paths = clusterPaths(await realpath(resolve(dataDir)).catch(() => resolve(dataDir)));
  const postmaster = await readPostmaster(paths.cluster);
  if (!postmaster?.ready || !(await isRunning(paths.cluster, postmaster.pid))) return undefined;
  ignorePgVariables();
  return serverConnection(postmaster.port, (await readFile(paths.password, 'utf8')).trim());
}

/**
 * Takes PostgreSQL's own variables (`PGSSLMODE`, `PGOPTIONS`, …; its manual, "Environment Variables") out of this
 * process's environment. They are meant for another server. pg would use them for every setting that the embedded
 * server's address does not have, here and in the workers, which inherit this environment.
 */
function ignorePgVariables(): void {
  for (const name of Object.keys(process.env)) if (/^PG[A-Z]/.test(name)) delete process.env[name];
}
