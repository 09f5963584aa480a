import pg from 'pg';
import { withCauses } from '../describe-error.ts';
import { malformed, notFound, ShopError, tooLarge, unavailable, unsupportedType } from '../shop/errors.ts';

/** Turns whatever was thrown into what the visitor is told. */
export function toShopError(error: unknown): ShopError {
  if (error instanceof ShopError) return error;
  if (isDatabaseFailure(error)) return unavailable('database', { cause: error });
  return fromHttpError(error) ?? new ShopError(500, 'internal', INTERNAL, { cause: error });
}

const INTERNAL = 'Algo deu errado do nosso lado. Já fomos avisados; tente de novo em instantes.';

/** Errors of the middleware that we didn't write carry a status, as `http-errors` gives it. */
function fromHttpError(error: unknown): ShopError | null {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  switch (status) {
    case 400:
      return malformed('Não conseguimos ler esse pedido.', { cause: error });
    case 404:
      return notFound(NO_PAGE);
    case 413:
      return tooLarge({ cause: error });
    case 415:
      return unsupportedType();
    default:
      return null;
  }
}

export const NO_PAGE = 'Esta página não existe. Talvez o endereço tenha mudado ou sido digitado errado.';

/**
 * Classes and codes with which PostgreSQL says that it can't serve now, through no fault of the query:
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const SERVER_FAILURES = [
  /^08/, // connection exception
  /^25006$/, // read-only: a hot standby after a failover
  /^25P0[34]$/, // idle in transaction, or in all, for too long
  /^28/, // the password was changed
  /^3D000$/, // the database is gone
  /^40/, // serialization failure, deadlock
  /^53/, // too many connections, disk or memory full
  /^0A000$/, // in a transaction, a prepared statement whose columns a migration has changed
  /^55P03$/, // lock not available
  /^57/, // cancelled by a timeout, shut down, still starting
  /^58/, // system error
  /^XX/, // internal error
];

const NETWORK_FAILURES = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT', // the server's Unix socket
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/** What Knex, its pool and pg say, without a code, of a connection that isn't there or doesn't answer. */
const CONNECTION_FAILURES =
  /Connection terminated|Query read timeout|[Tt]imeout expired|timeout exceeded when trying to connect|not queryable|Unable to acquire a connection|Timeout acquiring a connection|Client was closed/;

/** Whether a wait for a connection ended with its pool (tarn/lib/PendingOperation.js). */
export function isEndOfPool(error: unknown): boolean {
  return error instanceof Error && error.message === 'aborted';
}

/** Whether an error means that the database can't be reached or can't answer now. */
export function isDatabaseFailure(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return SERVER_FAILURES.some((pattern) => pattern.test(error.code ?? ''));
  if (error instanceof AggregateError)
    return withCauses(error).some((one) => !(one instanceof AggregateError) && isDatabaseFailure(one));
  // One with a status of its own tells of the request, and may carry the code of a file that is not there.
  if (!(error instanceof Error) || 'status' in error) return false;
  const code: unknown = 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && NETWORK_FAILURES.has(code)) return true;
  return CONNECTION_FAILURES.test(error.message) || isEndOfPool(error);
}
