import { type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { forbidden, malformed, noSuchPage, notFound, type ShopError, unavailable } from '../shop/errors.ts';
import type { WebContext } from './state.ts';

/** A scrape takes milliseconds; a primary that needs longer than this is in trouble. */
const DEADLINE_MS = 3_000;

const FORWARDED = ['accept', 'accept-encoding', 'authorization'];

/** Belong to one connection, not to the answer (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = new Set(['connection', 'date', 'keep-alive', 'transfer-encoding']);

/**
 * `GET /metrics` on the shop's port: the primary's own answer, byte for byte.
 *
 * @param endpoint the primary's address; null when the shop's port doesn't show metrics
 */
export async function showMetrics(ctx: WebContext, endpoint: URL | null): Promise<void> {
  if (!endpoint) throw noSuchPage();
  const url = new URL(endpoint);
  url.search = ctx.search;
  const headers = Object.fromEntries(FORWARDED.map((name) => [name, ctx.get(name)]).filter(([, value]) => value));
  try {
    const answer = await get(url, headers);
    const body = await buffer(answer);
    ctx.status = answer.statusCode ?? 502;
    for (const [name, value] of Object.entries(answer.headers)) {
      if (value !== undefined && !HOP_BY_HOP.has(name)) ctx.set(name, value);
    }
    ctx.body = body;
    if (ctx.status >= 400) ctx.state.failure = failureOf(ctx.status, body.toString());
  } catch (cause) {
    throw unavailable('overload', { cause });
  }
}

/** The error as which the primary's refusal is counted. */
function failureOf(status: number, message: string): ShopError {
  if (status === 401) return forbidden(message);
  if (status === 404) return notFound(message);
  return status < 500 ? malformed(message) : unavailable('overload', { cause: new Error(message) });
}

function get(url: URL, headers: Record<string, string>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url, { headers, signal: AbortSignal.timeout(DEADLINE_MS) }, resolve)
      .on('error', reject)
      .end();
  });
}
