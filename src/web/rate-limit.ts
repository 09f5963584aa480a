import type { Knex } from 'knex';
import { labelQuery } from '../db/query-labels.ts';
import { RATE_LIMIT_MS } from '../deadlines.ts';
import type { Logger } from '../log.ts';
import { withDeadline } from '../promises.ts';
import { tooManyRequests } from '../shop/errors.ts';
import { clientOf } from './proxies.ts';
import type { WebMiddleware } from './state.ts';

const SECOND_MS = 1_000;
/** After a count that failed or came too late, the database is not asked for this long, so that it does not delay every post. */
const SILENCE_MS = 1 * SECOND_MS;

/**
 * Limits how often an address may post. An address that this worker knows to be over the limit is refused at once.
 * Otherwise the database is asked while the form is read, and `admitVisitor` waits for the answer before the post changes
 * anything.
 *
 * @param limiter null: no limit
 */
export function limitRate(limiter: RateLimiter | null): WebMiddleware {
  return async function limitRate(ctx, next) {
    if (limiter) {
      const asked = limiter.count(clientOf(ctx));
      if (typeof asked === 'number') throw tooManyRequests(asked);
      ctx.state.admission = asked.then((retryAfterSeconds) => {
        if (retryAfterSeconds > 0) throw tooManyRequests(retryAfterSeconds);
      });
      // A form that is refused for another reason does not wait for the answer.
      ctx.state.admission.catch(() => {});
    }
    await next();
  };
}

export interface RateLimiter {
  /**
   * Counts a post.
   *
   * @returns the seconds until the client may post again, at least 1 and at most the window; 0 when this post may pass.
   *   A number where this worker knows that it may not; the promise never rejects
   */
  count(client: string): number | Promise<number>;
}

export interface RateLimiterOptions {
  readonly database: Knex;
  /** Posts of one client that pass in a window, over all instances. */
  readonly posts: number;
  readonly log: Logger;
  /** Default: a minute. */
  readonly windowSeconds?: number;
  /** A post does not wait longer for the count of all instances; default 500 ms. */
  readonly deadlineMs?: number;
}

/** A client's window as this worker knows it. */
interface LocalWindow {
  /** Posts of this worker, or of all instances at the last answer of the database. */
  posts: number;
  /** Of `performance.now()`, which no change of the clock moves. */
  endsMs: number;
  /** The database's own window, by its end; undefined until it has answered. */
  shared?: number;
}

/** The count of all instances, by the database's clock. */
interface SharedCount {
  posts: number;
  /** End of the window, in microseconds of the epoch: identifies it. */
  window: number;
  msLeft: number;
}

/**
 * Counts posts of a client in fixed windows, for all instances in the table `rate_limits`; one statement a post, which
 * holds its row no longer than it runs. Where the database does not answer in time, or fails, this worker's own count
 * decides, so that a client passes as many posts on each worker, and never more.
 *
 * Libraries for this use the clocks of the instances, and prepare statements by name, which a pooler in transaction
 * mode gives to others.
 */
export function createRateLimiter({
  database,
  posts,
  log,
  windowSeconds = 60,
  deadlineMs = RATE_LIMIT_MS,
}: RateLimiterOptions): RateLimiter {
  /** Oldest first. */
  const windows = new Map<string, LocalWindow>();
  const windowMs = windowSeconds * SECOND_MS;
  let silentUntilMs = 0;

  function localWindow(client: string, now: number): LocalWindow {
    for (const [key, { endsMs }] of windows) {
      if (endsMs > now) break;
      windows.delete(key);
    }
    const known = windows.get(client);
    if (known && known.endsMs > now) return known;
    const window = { posts: 0, endsMs: now + windowMs };
    windows.delete(client);
    windows.set(client, window);
    return window;
  }

  function secondsUntil(endsMs: number, now: number): number {
    return Math.min(windowSeconds, Math.max(1, Math.ceil((endsMs - now) / SECOND_MS)));
  }

  function learn(client: string, count: SharedCount): void {
    const now = performance.now();
    const window = localWindow(client, now);
    if (window.shared !== undefined && window.shared > count.window) return;
    const isSame = window.shared === undefined || window.shared === count.window;
    window.posts = isSame ? Math.max(window.posts, count.posts) : count.posts;
    window.shared = count.window;
    window.endsMs = now + Math.min(windowMs, Math.max(0, count.msLeft));
  }

  async function ask(client: string): Promise<number> {
    const counted = countForAll(database, client, windowSeconds).then((count) => {
      learn(client, count);
      return count;
    });
    try {
      const count = await withDeadline(counted, deadlineMs, () => new Error(`no answer within ${deadlineMs} ms`));
      if (count.posts <= posts) return 0;
      const now = performance.now();
      return secondsUntil(now + count.msLeft, now);
    } catch (error) {
      const now = performance.now();
      if (now >= silentUntilMs) {
        log.warn({ err: error }, "the count of form posts failed: for a second, each worker's own count decides");
      }
      silentUntilMs = now + SILENCE_MS;
      return 0;
    }
  }

  return {
    count(client) {
      const now = performance.now();
      const window = localWindow(client, now);
      if (window.posts >= posts) return secondsUntil(window.endsMs, now);
      window.posts += 1;
      return now < silentUntilMs ? Promise.resolve(0) : ask(client);
    },
  };
}

/**
 * Reads the clock while it holds the row, so that times grow from one post to the next. A window that ends later than a
 * new one would was begun before the database's clock was set back: it ends now.
 */
async function countForAll(database: Knex, client: string, windowSeconds: number): Promise<SharedCount> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [SharedCount] }>(
      `insert into rate_limits as kept (address, posts, window_ends_at)
       values (:client, 1, clock_timestamp() + make_interval(secs => :windowSeconds))
       on conflict (address) do update set (posts, window_ends_at) = (
         select
           case when ended then 1 else least(kept.posts + 1, 1000000000) end,
           case when ended then fresh_end else kept.window_ends_at end
         from (select clock_timestamp() as now, clock_timestamp() + make_interval(secs => :windowSeconds) as fresh_end) as clock,
           lateral (select kept.window_ends_at <= now or kept.window_ends_at > fresh_end + interval '1 second' as ended) as look
       )
       returning posts,
         (extract(epoch from window_ends_at) * 1000000)::bigint as window,
         (extract(epoch from window_ends_at - clock_timestamp()) * 1000)::double precision as "msLeft"`,
      { client, windowSeconds },
    ),
    'insert',
    'rate_limits',
  );
  return rows[0];
}
