import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import pg from 'pg';
import { z } from 'zod';
import { StartError } from './start-error.ts';

/** Everything that the environment decides, read once at start. */
export interface Config {
  /** Values that were read in another way than the operator may expect, a sentence each; the primary logs them. */
  readonly warnings: readonly string[];
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  readonly workers: number;
  /** A worker that has been silent for so many seconds hangs, and is replaced. */
  readonly hangSeconds: number;
  /** After SIGTERM the shop is not ready for so many seconds, but serves on, before it drains. The primary gives 2 at least. */
  readonly drainDelaySeconds: number;
  /** After the drain the primary stays for one more scrape, so many seconds at most. */
  readonly lastScrapeSeconds: number;
  /** Both servers keep an idle connection this long. */
  readonly keepAliveSeconds: number;
  /** Readiness leaves the database out, so that a balancer lets the shop's own page of an outage through. */
  readonly readyWithoutDatabase: boolean;
  /** Rehearsed faults may be switched on; never in production. */
  readonly faults: boolean;
  /** Absolute folder of the embedded database and of generated keys. */
  readonly dataDir: string;
  readonly shop: {
    readonly host: string;
    /** 0 asks the system for a free port. */
    readonly port: number;
    readonly metricsOnShopPort: boolean;
    /**
     * Number of trusted proxies in front: their `X-Forwarded-For`, `-Proto` and `-Host`, and `X-Request-Id`, are
     * believed.
     */
    readonly trustProxy: number;
    /** The origin by which visitors reach the shop, such as `https://shop.example`; `null`: unknown. */
    readonly publicUrl: string | null;
    /** Form posts a minute from one address, over all instances; `null` when off. */
    readonly rateLimit: number | null;
    /** Newest first. `null`: generate them and keep them in `dataDir`. */
    readonly sessionKeys: readonly string[] | null;
  };
  readonly metrics: {
    readonly host: string;
    readonly port: number;
    /**
     * When set, `/metrics`, `/status`, `/debug/…`, `/faults` and the numbers of the live page want
     * `Authorization: Bearer <token>`.
     */
    readonly token: string | null;
  };
  readonly database: {
    /** `null`: start the embedded PostgreSQL. */
    readonly connection: DatabaseConnection | null;
    /** Connections that one worker may hold. */
    readonly poolMax: number;
    /** Connections that an embedded PostgreSQL grants: enough for all, with one worker too many during a reload. */
    readonly embeddedConnections: number;
  };
}

/** Where a PostgreSQL server listens; a URL in any form that pg reads, or its parts. */
export type DatabaseConnection =
  | { readonly url: string }
  | {
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly password: string | undefined;
      readonly database: string;
    };

/** The environment holds mistakes; `problems` lists them all, a line each. */
export class ConfigError extends StartError {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The environment has ${problems.length === 1 ? 'a mistake' : 'mistakes'}:\n${problems.join('\n')}`);
    this.problems = problems;
  }
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Connections of an embedded database for the primary, the migrations, and a person with psql. */
const SPARE_CONNECTIONS = 20;
/** PostgreSQL's bound of `max_connections`. */
const MOST_CONNECTIONS = 262_143;

const wholeNumber = (what: string, min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be ${what}, a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be ${what}, a whole number from ${min} to ${max}`);

const port = wholeNumber('a TCP port', 0, 65_535);
const host = z.string().regex(/^[\w.:%-]+$/, { error: 'must be an address or a host name', abort: true });
/** The workers ask the primary by this host. */
const hostOfUrls = host.refine(
  (value) => URL.canParse(`http://${hostInUrl(value)}`),
  'must be an address without a zone (%eth0), or a host name',
);
const text = z.string();

const DATABASE_URLS = /^(postgres(ql)?:\/\/|socket:|\/)/;

/**
 * The URL with every stray `%` and space escaped: pg would take the escapes beside one for text.
 *
 * @returns a URL that pg reads; an error shows no password
 */
function readDatabaseUrl(given: string, context: z.RefinementCtx): string {
  // A path is the socket's folder, and after a space the database's name.
  const url = given.startsWith('/') ? given : escapeStrays(given);
  try {
    if (!DATABASE_URLS.test(url)) throw new Error('another protocol');
    if (hasStrayAccount(url)) throw new Error('an account that pg would not find');
    new pg.Client({ connectionString: url });
    return url;
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const message =
      path === undefined
        ? 'must look like postgres://user:password@host:5432/name, with : / ? # @ and % in the user and the password written %3A %2F %3F %23 %40 and %25'
        : `names ${path}, which cannot be read (${code})`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  }
}

/** Parameters of a URL that may hold an `@`. */
const NAMED_PARAMETERS = /[?&](user|password|host|application_name|options|ssl\w+)=[^&#]*/g;

/**
 * Whether an account seems to end behind the host. A `/`, `?` or `#` in a password ends the host for pg: of
 * `postgres://ana:12/3@db/shop` it would take `ana` for the host and `12` for the port.
 */
function hasStrayAccount(url: string): boolean {
  const [, authority = '', rest = ''] = /^\w+:\/\/([^/?#]*)(.*)$/s.exec(url) ?? [];
  const behind = rest.replace(NAMED_PARAMETERS, '');
  // With an account in its place, a database's name may have an @.
  const isName = authority.includes('@') && /^\/[^/?#]*(\?[^@#]*)?$/.test(behind);
  return behind.includes('@') && !isName;
}

/** In the user and the password, `%` also begins no escape when no text in UTF-8 comes out. */
function escapeStrays(url: string): string {
  const [, protocol = '', account = '', rest = url] = /^(\w+:\/\/)([^/]*@)?(.*)$/s.exec(url) ?? [];
  const strays = (text: string) => text.replace(/%(?![0-9a-f]{2})/gi, '%25').replaceAll(' ', '%20');
  const [user = '', ...password] = strays(account).split(':');
  const readable = [user, password.join(':')].map((part) => (isDecodable(part) ? part : part.replaceAll('%', '%25')));
  return protocol + readable.slice(0, password.length > 0 ? 2 : 1).join(':') + strays(rest);
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** @returns the origin: scheme, host, and port unless it is the scheme's own */
function readPublicUrl(given: string, context: z.RefinementCtx): string {
  const url = URL.canParse(given) ? new URL(given) : null;
  // Nothing but an origin: the same URL as its origin alone, with or without the slash.
  if (url?.href === `${url?.origin}/` && /^https?:\/\/[\w.:[\]-]+$/.test(url.origin)) return url.origin;
  context.addIssue({
    code: 'custom',
    message: 'must be the origin of the shop, such as https://shop.example, without a path or an account',
  });
  return z.NEVER;
}

const RATE_LIMIT = 'off, or the form posts a minute that one address may send';

const PROXIES = 'true (one proxy), false, or how many proxies are in front';

const yesOrNo = (otherwise: 'true' | 'false') =>
  z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .default(otherwise)
    .transform((value) => value === 'true');

const environmentSchema = z.object({
  NODE_ENV: text.optional(),
  PORT: port.default(5000),
  HOST: host.default('0.0.0.0'),
  METRICS_PORT: port.default(9464),
  METRICS_HOST: hostOfUrls.default('127.0.0.1'),
  METRICS_TOKEN: z
    .string()
    .regex(/^[\w.~+/=-]+$/, 'must be a bearer token: letters, digits and -._~+/= (RFC 6750)')
    .optional(),
  METRICS_ON_SHOP_PORT: yesOrNo('true'),
  TRUST_PROXY: z
    .union([z.literal('true').transform(() => 1), z.literal('false').transform(() => 0), wholeNumber(PROXIES, 0, 32)], {
      error: `must be ${PROXIES}, a whole number from 0 to 32`,
    })
    .default(0),
  PUBLIC_URL: z.string().transform(readPublicUrl).optional(),
  WORKERS: wholeNumber('the number of worker processes', 1, 512).optional(),
  WORKER_HANG_SECONDS: wholeNumber('the seconds after which a silent worker is replaced', 2, 3600).default(10),
  DRAIN_DELAY_SECONDS: wholeNumber('the seconds that balancers need to look elsewhere', 0, 600).default(0),
  LAST_SCRAPE_SECONDS: wholeNumber('the seconds that one more scrape is awaited', 0, 600).default(20),
  KEEP_ALIVE_SECONDS: wholeNumber('the seconds that an idle connection is kept', 1, 3600).default(75),
  READY_WITHOUT_DATABASE: yesOrNo('false'),
  DATABASE_URL: z.string().transform(readDatabaseUrl).optional(),
  DB_HOST: z
    .string()
    .regex(/^(\/.*|[\w.:%-]+)$/, "must be an address, a host name, or the folder of the server's socket")
    .optional(),
  DB_PORT: wholeNumber('a TCP port', 1, 65_535).optional(),
  DB_USER: text.optional(),
  DB_PASSWORD: text.optional(),
  DB_NAME: text.optional(),
  DB_POOL_MAX: wholeNumber('the connections a worker may hold', 1, 1000).default(10),
  DATA_DIR: text.default('./data'),
  SESSION_KEYS: z
    .string()
    .transform((value) => value.split(',').map((key) => key.trim()))
    .refine(
      (keys) => keys.every((key) => key.length >= 16),
      'must be keys of at least 16 characters, comma separated, the newest first',
    )
    .optional(),
  RATE_LIMIT: z
    .union([z.literal('off').transform(() => null), wholeNumber(RATE_LIMIT, 1, 1_000_000)], {
      error: `must be ${RATE_LIMIT}, a whole number from 1 to 1000000`,
    })
    .default(120),
  FAULTS: yesOrNo('false'),
  LOG_LEVEL: z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` }).default('info'),
});

/**
 * Reads the configuration.
 *
 * @param environment usually `process.env`; an empty value counts as unset
 * @throws {ConfigError} with every mistake at once
 */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const { given, warnings } = withoutServiceLinks(
    Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== '')),
  );
  const parsed = environmentSchema.safeParse(given);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `  ${issue.path.join('.')} ${issue.message}`);
  problems.push(...databaseProblems(given), ...portProblems(given));
  const externalDatabase = given.DATABASE_URL !== undefined || given.DB_HOST !== undefined;
  if (given.NODE_ENV === 'production' && externalDatabase && given.SESSION_KEYS === undefined) {
    problems.push(
      '  SESSION_KEYS must be set in production with an external database, so that every instance reads the same sessions',
    );
  }
  if (given.NODE_ENV === 'production' && given.FAULTS === 'true') {
    problems.push(
      '  FAULTS must not be true when NODE_ENV=production: rehearsed faults harm every visitor, so rehearse on a shop without customers',
    );
  }
  const workers = parsed.data?.WORKERS ?? availableParallelism();
  const embeddedConnections = (workers + 1) * (parsed.data?.DB_POOL_MAX ?? 0) + SPARE_CONNECTIONS;
  if (!externalDatabase && embeddedConnections > MOST_CONNECTIONS) {
    problems.push(
      `  WORKERS and DB_POOL_MAX want ${embeddedConnections} connections, and a PostgreSQL grants ${MOST_CONNECTIONS} at most`,
    );
  }
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);

  const env = parsed.data;
  return {
    warnings,
    logLevel: env.LOG_LEVEL,
    workers,
    hangSeconds: env.WORKER_HANG_SECONDS,
    drainDelaySeconds: env.DRAIN_DELAY_SECONDS,
    lastScrapeSeconds: env.LAST_SCRAPE_SECONDS,
    keepAliveSeconds: env.KEEP_ALIVE_SECONDS,
    readyWithoutDatabase: env.READY_WITHOUT_DATABASE,
    faults: env.FAULTS,
    dataDir: resolve(env.DATA_DIR),
    shop: {
      host: env.HOST,
      port: env.PORT,
      metricsOnShopPort: env.METRICS_ON_SHOP_PORT,
      trustProxy: env.TRUST_PROXY,
      publicUrl: env.PUBLIC_URL ?? null,
      rateLimit: env.RATE_LIMIT,
      sessionKeys: env.SESSION_KEYS ?? null,
    },
    metrics: { host: env.METRICS_HOST, port: env.METRICS_PORT, token: env.METRICS_TOKEN ?? null },
    database: { connection: databaseConnection(env), poolMax: env.DB_POOL_MAX, embeddedConnections },
  };
}

const PORTS = ['PORT', 'METRICS_PORT', 'DB_PORT'];

/**
 * Kubernetes puts the address of each service of the namespace into every container's environment: of one that is
 * called `db`, as `DB_PORT=tcp://10.96.12.3:5432`. (Its manual, "Accessing the Service", "Environment Variables")
 * `docker run --link postgres:db` does the same, and adds `DB_NAME=/shop/db`: the names of both containers. (Docker's
 * manual, "Legacy container links", "Environment variables")
 */
function withoutServiceLinks(environment: Record<string, string | undefined>) {
  const links = PORTS.filter((name) => /^(tcp|udp|sctp):\/\//i.test(environment[name] ?? ''));
  if (/^\/[^/]+\/db$/i.test(environment.DB_NAME ?? '')) links.push('DB_NAME');
  return {
    given: Object.fromEntries(Object.entries(environment).filter(([name]) => !links.includes(name))),
    warnings: links.map(
      (name) =>
        `${name}=${environment[name]} is ignored: it is a link to a service, set by Kubernetes or Docker, not a setting of the shop. To be rid of it, set enableServiceLinks: false in the pod's spec, or use a Docker network instead of --link`,
    ),
  };
}

/** `DATABASE_URL` together with parts, or parts without a host, are mistakes: neither silently wins. */
function databaseProblems(given: Record<string, string | undefined>): string[] {
  const parts = ['DB_HOST', 'DB_PORT', 'DB_USER', 'DB_PASSWORD', 'DB_NAME'].filter((name) => given[name] !== undefined);
  if (given.DATABASE_URL !== undefined && parts.length > 0) {
    return [`  DATABASE_URL and ${parts.join(', ')} contradict each other: set the URL or the parts`];
  }
  if (parts.length > 0 && given.DB_HOST === undefined) return [`  DB_HOST is missing beside ${parts.join(', ')}`];
  return [];
}

/** Two servers can't listen on one port of one address. `checkAddresses` finds one address under two names. */
function portProblems(given: Record<string, string | undefined>): string[] {
  const read = (name: 'PORT' | 'HOST' | 'METRICS_PORT' | 'METRICS_HOST') =>
    environmentSchema.shape[name].safeParse(given[name]).data;
  const port = read('PORT');
  const hosts = [read('HOST'), read('METRICS_HOST')];
  const meet = hosts[0] === hosts[1] || hosts.includes('0.0.0.0') || hosts.includes('::');
  return port && port === read('METRICS_PORT') && meet
    ? [`  METRICS_PORT must differ from PORT, which is ${port} too`]
    : [];
}

/** An address or a name as URLs write it: IPv6 in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function databaseConnection(env: z.infer<typeof environmentSchema>): DatabaseConnection | null {
  if (env.DATABASE_URL !== undefined) return { url: env.DATABASE_URL };
  if (env.DB_HOST === undefined) return null;
  return {
    host: env.DB_HOST,
    port: env.DB_PORT ?? 5432,
    user: env.DB_USER ?? 'postgres',
    password: env.DB_PASSWORD,
    database: env.DB_NAME ?? 'fake_shop',
  };
}

/** The variables from which `readConfig` reads this connection. */
export function databaseEnvironment(connection: DatabaseConnection): NodeJS.ProcessEnv {
  if ('url' in connection) return { DATABASE_URL: connection.url };
  const { host, port, user, password, database } = connection;
  return { DB_HOST: host, DB_PORT: String(port), DB_USER: user, DB_PASSWORD: password, DB_NAME: database };
}
