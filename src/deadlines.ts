const SECOND = 1000;
const MINUTE = 60 * SECOND;

/**
 * The time of a page, in milliseconds: a page that is not ready by then is answered with 503. Clients wait 2 s, so an
 * error arrives in time too. All other budgets of a page are parts of this one.
 */
export const PAGE_MS = 1.9 * SECOND;

/**
 * A checkout has the most waits, one after the other. These are their shares of the page's time. They add up to less
 * than the whole; the rest is for rendering the answer.
 */
const CHECKOUT_SHARES = {
  /** In line for one of the places of a worker, and for the first turn at the database. */
  line: 0.33,
  /** For a connection of the pool, and for the statements before the payment. */
  reserve: 0.04,
  /** For the payment provider. */
  payment: 0.53,
  /** For the statement that stores the order. */
  commit: 0.08,
};

/**
 * Milliseconds of each share. `line` and `payment` are deadlines. `reserve` and `commit` are what a database in good
 * health needs at most; a slower one makes the page late, and the order is stored all the same.
 */
export const CHECKOUT_MS = {
  line: Math.floor(CHECKOUT_SHARES.line * PAGE_MS),
  reserve: Math.floor(CHECKOUT_SHARES.reserve * PAGE_MS),
  payment: Math.floor(CHECKOUT_SHARES.payment * PAGE_MS),
  commit: Math.floor(CHECKOUT_SHARES.commit * PAGE_MS),
} satisfies Record<keyof typeof CHECKOUT_SHARES, number>;

/**
 * For each lock that storing an order takes, one after the other: of the cart, the payment, each product and the session;
 * for each session of adds and each payment of reservations that share a statement. The shop's own writes hold a lock for
 * less than this. A longer wait means that a transaction of another kind holds it; then the order, the add or the
 * reservation is stored by itself, without a limit for locks. Several waits can take longer together than `commit`.
 */
export const SHORT_LOCK_WAIT_MS = 100;

/** For the count of all instances' form posts; it is asked for while the form is read. */
export const RATE_LIMIT_MS = 0.5 * SECOND;

/** For the count of the cart, which a page can do without. */
export const CART_COUNT_MS = 0.2 * SECOND;

/** In a drain, a worker gives requests in flight this long to finish. */
export const DRAIN_MS = 7 * SECOND;
/** Then the primary kills a worker that has not exited. */
export const DRAIN_KILL_MS = DRAIN_MS + 1 * SECOND;

/** How long each wait for the database may take, in milliseconds. */
export interface DatabaseDeadlines {
  /** For a free connection of the pool. */
  readonly acquire: number;
  /** For the server to take a new connection. */
  readonly connect: number;
  /** For one statement: the server ends it, asked from here or, in a transaction, by itself. */
  readonly statement: number;
  /** For one statement's answer, kept here: a server that hangs keeps no deadline. */
  readonly answer: number;
  /** For the next statement of an open transaction, kept by the server. */
  readonly idleInTransaction: number;
}

/** A page whose database fails has this long to answer with its error. */
const DATABASE_ERROR_MS = 0.4 * SECOND;
const DATABASE_MS = PAGE_MS - DATABASE_ERROR_MS;

/** For a page that waits for nothing else. The server ends a statement before this side gives the connection up. */
export const PAGE_DATABASE: DatabaseDeadlines = {
  acquire: DATABASE_MS,
  connect: DATABASE_MS,
  statement: DATABASE_MS - 0.25 * SECOND,
  answer: DATABASE_MS,
  idleInTransaction: 5 * SECOND,
};

/** For the primary's samples: one that takes longer than a second has failed, and the next follows soon. */
export const SAMPLE_DATABASE: DatabaseDeadlines = {
  acquire: SECOND,
  connect: SECOND,
  statement: 0.9 * SECOND,
  answer: SECOND,
  idleInTransaction: SECOND,
};

/** For changes of the schema, which no page waits for. */
export const SCHEMA_DATABASE: DatabaseDeadlines = {
  acquire: 30 * SECOND,
  connect: 5 * SECOND,
  statement: 5 * MINUTE,
  answer: 5 * MINUTE,
  idleInTransaction: 5 * MINUTE,
};
