import pg from 'pg';

/** What is used here of pg's connection and its client, and not in pg's types (pg/lib/connection.js, pg/lib/client.js). */
interface Wire extends pg.Connection {
  connect(portOrSocket: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}
interface Keys {
  readonly processID: number;
  readonly secretKey: number;
  readonly sslNegotiation?: string;
}

/** A server that hangs takes no request either. */
const DEADLINE_MS = 1_000;

/**
 * Asks the server to end the statement that a connection waits for. The request goes over a connection of its own, by the
 * same way, so that it passes a pooler too (PostgreSQL's manual, "Canceling Requests in Progress").
 *
 * @returns when the server has taken the request, or can't be reached, or after a second: a statement that is sent later
 *   is not hit
 */
export function cancelStatement(client: pg.Client): Promise<void> {
  const { host, port, ssl } = client;
  const { processID, secretKey, sslNegotiation } = client as pg.Client & Keys;
  // pg's types know `ssl` of a client as a flag; it is what the client's own connection was made with.
  const wire = new pg.Connection({ ssl, sslNegotiation } as ConstructorParameters<typeof pg.Connection>[0]) as Wire;
  return new Promise((resolve) => {
    const timer = setTimeout(() => wire.stream.destroy(), DEADLINE_MS);
    wire.on('error', () => wire.stream.destroy());
    wire.on('connect', () => {
      if (!ssl) wire.cancel(processID, secretKey);
      else if (sslNegotiation !== 'direct') wire.requestSsl();
    });
    wire.on('sslconnect', () => wire.cancel(processID, secretKey));
    wire.on('end', () => {
      clearTimeout(timer);
      resolve();
    });
    if (host.startsWith('/')) wire.connect(`${host}/.s.PGSQL.${port}`);
    else wire.connect(port, host);
  });
}
