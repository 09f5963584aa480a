import pg from 'pg';

/**
 * Classes and codes with which PostgreSQL says that it can't serve now, through no fault of the query:
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const SERVER_FAILURES = [
  /^08/, // connection exception
  /^0A000$/, // in a transaction, a prepared statement whose columns a migration has changed
  /^25006$/, // read-only: a hot standby after a failover
  /^25P0[34]$/, // idle in transaction, or in all, for too long
  /^28/, // the password was changed
  /^3D000$/, // the database is gone
  /^40/, // serialization failure, deadlock
  /^53/, // too many connections, disk or memory full
  /^54000$/, // no transaction ids are left for writes; no visitor sends what is too long for an index
  /^55P03$/, // lock not available
  /^57/, // cancelled by a timeout, shut down, still starting
  /^58/, // system error
  /^XX/, // internal error
];

/** Errors of connections that could not be had, or broke under a statement, whatever their codes. */
const connectionFailures = new WeakSet<Error>();

/** Remembers the error of a connection that could not be had: the network, TLS, the server or the pool failed. */
export function noteConnectionFailure(error: unknown): void {
  if (error instanceof Error) connectionFailures.add(error);
}

/** Errors of statements that were sent, of which no answer came. */
const unanswered = new WeakSet<Error>();
/** The server, or a pooler that has lost it, ends the connection, perhaps between the commit and its answer. */
const GOODBYE = /^(57P0|08)/;

/** Remembers the error of a statement whose connection broke or is given up. */
export function noteUnanswered(error: Error): void {
  connectionFailures.add(error);
  unanswered.add(error);
}

/** Whether a statement that failed with this error may have been committed all the same. */
export function isUnanswered(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (connectionFailures.has(error)) return unanswered.has(error);
  return error instanceof pg.DatabaseError && GOODBYE.test(error.code ?? '');
}

/** Whether an error, of a Knex that `connect` has opened, means that the database can't be reached or can't answer now. */
export function isDatabaseFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (connectionFailures.has(error)) return true;
  return error instanceof pg.DatabaseError && SERVER_FAILURES.some((pattern) => pattern.test(error.code ?? ''));
}

/** Whether a wait for a connection ended with its pool (tarn/lib/PendingOperation.js). */
export function isEndOfPool(error: unknown): boolean {
  return error instanceof Error && error.message === 'aborted';
}

const DISK_FULL = '53100';
const LOCK_NOT_AVAILABLE = '55P03';

/** Whether PostgreSQL has refused a write for want of disk space. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === DISK_FULL;
}

/** Whether PostgreSQL has not given a lock within its `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === LOCK_NOT_AVAILABLE;
}
