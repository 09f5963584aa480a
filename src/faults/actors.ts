import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import type { Knex } from 'knex';
import type { DatabaseConnection } from '../config.ts';
import { connect, type EmbeddedPostgres } from '../db/index.ts';
import type { DatabaseDeadlines } from '../deadlines.ts';
import type { Logger } from '../log.ts';
import type { FaultName } from './names.ts';
import { type Actor, FaultRefusedError } from './primary.ts';

const SECOND_MS = 1000;

export interface ActorsOptions {
  readonly connection: DatabaseConnection;
  /** Null when the environment names the database. */
  readonly embedded: EmbeddedPostgres | null;
  readonly log: Logger;
}

/** The faults that the primary causes. */
export function createActors({ connection, embedded, log }: ActorsOptions) {
  return {
    row_lock: rowLock(connection, log),
    database_down: databaseDown(embedded),
    busy_machine: busyMachine(),
  } satisfies Partial<Record<FaultName, Actor>>;
}

/**
 * Patient, since another fault may keep the machine busy; together less than the 30 seconds that the server gives each
 * answer.
 */
const LOCK_DATABASE: DatabaseDeadlines = {
  acquire: 10 * SECOND_MS,
  connect: 10 * SECOND_MS,
  statement: 8 * SECOND_MS,
  answer: 9 * SECOND_MS,
  // No limit: it lasts as long as the fault.
  idleInTransaction: 0,
};

/** Locks the rows of all products in a transaction that stays open. PostgreSQL ends it when this process ends. */
function rowLock(connection: DatabaseConnection, log: Logger): Actor {
  return {
    async begin() {
      const database = connect(connection, {
        poolMax: 1,
        applicationName: 'fake-shop row_lock',
        log,
        deadlines: LOCK_DATABASE,
      });
      let transaction: Knex.Transaction | undefined;

      async function unlock(): Promise<void> {
        // The database may have gone, and the lock with it. The pool would wait for an open transaction.
        await transaction?.rollback().catch(() => {});
        await database.destroy();
      }

      try {
        transaction = await database.transaction();
        // The lock that an update of the stock takes.
        await transaction('products').select('id').forNoKeyUpdate();
        return unlock;
      } catch (error) {
        await unlock();
        throw new FaultRefusedError(
          `The rows of the products could not be locked: ${(error as Error).message}. Try again when the database answers and no other session holds them.`,
        );
      }
    },
  };
}

function databaseDown(embedded: EmbeddedPostgres | null): Actor {
  return {
    async begin() {
      if (!embedded) {
        throw new FaultRefusedError(
          'database_down is for the embedded database alone: this shop uses another server, which may not be its own.',
        );
      }
      if (!embedded.up()) throw new FaultRefusedError('The embedded database is down already; look at the log.');
      const resume = await embedded.suspend();
      return async () => resume();
    },
  };
}

/** For each core, so that the shop gets a third of them. */
const PROGRAMS_PER_CORE = 2;

/** A program that takes a core, until it is killed, or the process that its argument names has ended. */
const PROGRAM = `
  const primary = Number(process.argv[1]);
  function work() {
    const until = Date.now() + 100;
    while (Date.now() < until);
    if (process.ppid === primary) setImmediate(work);
  }
  work();
`;

function busyMachine(): Actor {
  return {
    async begin() {
      const programs = Array.from({ length: PROGRAMS_PER_CORE * availableParallelism() }, () => {
        return spawn(process.execPath, ['-e', PROGRAM, String(process.pid)], { stdio: 'ignore', env: {} });
      });
      const ended = programs.map((program) => once(program, 'exit').catch(() => {}));
      return async function endPrograms() {
        for (const program of programs) program.kill('SIGKILL');
        await Promise.all(ended);
      };
    },
  };
}
