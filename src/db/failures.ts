import pg from 'pg';

/**
 * What an error of the database means: the only place that reads SQLSTATEs, error codes and messages of the network, pg
 * and Knex. How a person is told of a refused start is in refusals.ts.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const SQLSTATE = {
  protocolViolation: '08P01',
  readOnly: '25006',
  wrongPassword: '28P01',
  diskFull: '53100',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
} as const;

/** With these, PostgreSQL says that it can't serve now, through no fault of the query. */
const SERVER_FAILURES = [
  /^08/, // connection exception
  /^0A000$/, // in a transaction, a prepared statement whose columns a migration has changed
  /^25006$/, // read-only: a hot standby after a failover
  /^25P0[34]$/, // idle in transaction, or in all, for too long
  /^28/, // the password was changed
  /^3D000$/, // the database is gone
  /^40/, // serialization failure, deadlock
  /^53/, // too many connections, disk or memory full
  /^54000$/, // no transaction ids are left for writes; no visitor sends values that are too long for an index
  /^55P03$/, // lock not available
  /^57/, // cancelled by a timeout, shut down, still starting
  /^58/, // system error
  /^XX/, // internal error
];

/** With these, PostgreSQL refuses one transaction and may serve others: conflict, deadlock, lock not given, damaged data. */
const OF_ONE_TRANSACTION = /^(40|55P03|XX)/;

/**
 * Of a new connection, these pass: connection exception, insufficient resources, operator intervention (starting up).
 */
const PASSING = /^(08|53|57)/;
/** The server, or a pooler that has lost it, ends the connection, perhaps between the commit and its answer. */
const GOODBYE = /^(57P0|08)/;
/** `invalid_authorization_specification`. */
const NOT_AUTHORIZED = /^28/;
/** `insufficient_privilege`; and `invalid_schema_name`, which the role sees when it may use no schema. */
const LACKS_RIGHT = /^(42501|3F000)$/;
/** `duplicate_table`, `duplicate_object`, `duplicate_function`. */
const NAME_TAKEN = /^(42P07|42710|42723)$/;
/** The function of PostgreSQL that refuses a prepared statement whose columns have changed (plancache.c). */
const STALE_PLAN = 'RevalidateCachedQuery';

/** Errors of the network while a server or its name is still coming up. */
const NOT_YET = new Set([
  'EAGAIN',
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOENT', // the server's Unix socket
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);
/** pgbouncer has one SQLSTATE for all its errors, also for errors that pass. */
const POOLER_WAITS =
  /cannot connect|login has been failing|no more connections|timeout|shutting down|pause|starting up|crash|closed|lost/i;
/** pg's messages, without a code, about a server that does not answer yet. */
const NO_ANSWER = /timeout|Connection terminated/;
/** pg's message when its `query_timeout` is over (pg/lib/client.js). */
const ANSWER_TIMEOUT = 'Query read timeout';

function hasState(error: unknown, state: string | RegExp): error is pg.DatabaseError {
  if (!(error instanceof pg.DatabaseError)) return false;
  const { code = '' } = error;
  return typeof state === 'string' ? code === state : state.test(code);
}

/** Errors of connections that could not be made, or broke under a statement; any code. */
const connectionFailures = new WeakSet<Error>();
/** Errors of statements that were sent and never answered. */
const unanswered = new WeakSet<Error>();

/**
 * Remembers the error of a connection that could not be had: the network, TLS, the server or the pool failed, or its turn
 * did not come.
 */
export function noteConnectionFailure(error: unknown): void {
  if (error instanceof Error) connectionFailures.add(error);
}

/** Remembers the error of a statement whose connection broke or is given up. */
export function noteUnanswered(error: Error): void {
  connectionFailures.add(error);
  unanswered.add(error);
}

/**
 * Whether an error, of a Knex that `connect` has opened, means that the database can't be reached or can't answer now.
 */
export function isDatabaseFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return connectionFailures.has(error) || SERVER_FAILURES.some((state) => hasState(error, state));
}

/** Whether an error means that other statements fail too: the database has failed, and not one transaction alone. */
export function isOutage(error: unknown): boolean {
  return isDatabaseFailure(error) && !hasState(error, OF_ONE_TRANSACTION);
}

/** Whether a statement that failed with this error may have been committed all the same. */
export function isUnanswered(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return connectionFailures.has(error) ? unanswered.has(error) : hasState(error, GOODBYE);
}

/** Whether a wait for a connection ended because its pool was closed (tarn/lib/PendingOperation.js). */
export function isEndOfPool(error: unknown): boolean {
  return error instanceof Error && error.message === 'aborted';
}

/** Whether PostgreSQL has refused a write because its disk is full. */
export function isDiskFull(error: unknown): boolean {
  return hasState(error, SQLSTATE.diskFull);
}

/** Whether PostgreSQL has not given a lock within its `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return hasState(error, SQLSTATE.lockNotAvailable);
}

/** Whether a server has refused a write because it is read-only: a hot standby, or `default_transaction_read_only`. */
export function isReadOnly(error: unknown): boolean {
  return hasState(error, SQLSTATE.readOnly);
}

/** Whether the server has ended a statement that took too long. */
export function isCancelled(error: unknown): error is pg.DatabaseError {
  return hasState(error, SQLSTATE.queryCanceled);
}

/** Whether a prepared statement can't be used any more, because a migration has changed its columns. */
export function isStalePlan(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.routine === STALE_PLAN;
}

/** Whether this side has given up waiting for a statement's answer. Knex puts the statement in front of the message. */
export function isAnswerTimeout(error: Error): boolean {
  return error.message.endsWith(ANSWER_TIMEOUT);
}

/** Whether an error of a new connection may be gone in a moment, as while the server is still starting. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === undefined) return NO_ANSWER.test(error.message);
  if (!(error instanceof pg.DatabaseError)) return NOT_YET.has(code);
  return code === SQLSTATE.protocolViolation ? POOLER_WAITS.test(error.message) : PASSING.test(code);
}

export function isWrongPassword(error: unknown): boolean {
  return hasState(error, SQLSTATE.wrongPassword);
}

/** Whether the server rejects the role or its password, or `pg_hba.conf` forbids the connection. */
export function isNotAuthorized(error: unknown): boolean {
  return hasState(error, NOT_AUTHORIZED);
}

/** Whether the role may not change the schema. */
export function lacksRight(error: unknown): boolean {
  return hasState(error, LACKS_RIGHT);
}

/** Whether a table, type or function of this name exists already. */
export function isNameTaken(error: unknown): boolean {
  return hasState(error, NAME_TAKEN);
}

/** The message of an error; one that holds several, as for a name with two addresses, has none of its own. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message || String(error) : String(error);
}
