import type { Context } from 'koa';
import { routeOf, statusOf } from '../instrument/http.ts';
import type { Logger } from '../log.ts';
import type { ShopError } from '../shop/errors.ts';
import { maskCardNumbers } from '../shop/payment/card-numbers.ts';
import { FILES_ROUTE } from './assets.ts';
import { toShopError } from './error-funnel.ts';
import { exemplarOf } from './exemplar.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Programs ask for these every few seconds; the log of a quiet night should be quiet. */
const MACHINE_ROUTES = new Set(['/livez', '/readyz', '/metrics']);

/**
 * One line per request, an error's cause on the same line. Neither the query nor the headers nor the body are in it,
 * because they carry secrets.
 */
export function logRequests(log: Logger): WebMiddleware {
  return async function logRequests(ctx, next) {
    const startedMs = performance.now();
    try {
      await next();
    } finally {
      const { requestId, failure } = ctx.state;
      const level = levelOf(ctx);
      if (log.isLevelEnabled(level)) {
        const line = {
          requestId,
          method: ctx.method,
          route: routeOf(ctx),
          path: loggedPath(ctx.originalUrl),
          status: statusOf(ctx),
          durationMs: Math.round((performance.now() - startedMs) * 10) / 10,
        };
        log[level](failure ? { ...line, ...reasonOf(failure) } : line, 'request');
        ctx.state.exemplar = exemplarOf(ctx);
      }
    }
  };
}

function reasonOf({ type, status, hint, cause }: ShopError): object {
  return {
    error: type,
    ...(hint !== undefined && { hint }),
    ...(cause !== undefined && status >= 500 && { cause }),
  };
}

/** Logs the failure of a page whose visitor has been answered already. A refusal is no failure. */
export function logLateFailure(log: Logger, ctx: WebContext, error: unknown): void {
  const failure = toShopError(error);
  if (failure.status < 500) return;
  const { requestId } = ctx.state;
  const line = { requestId, route: routeOf(ctx), error: failure.type, cause: failure.cause };
  log[levelOfFailure(failure)](line, 'a page failed after its deadline');
}

/**
 * Logs Koa's errors of responses that broke after their middleware had ended. The end of a client's connection is no
 * error of the shop, and the request's own line has it.
 */
export function logBrokenResponses(log: Logger): (error: Error & { code?: string }, ctx?: Context) => void {
  return function logBrokenResponse(error, ctx) {
    if (ctx && isOfConnection(error, ctx)) log.debug({ problem: error.message }, 'a connection broke');
    else log.error({ cause: error }, 'a response broke');
  };
}

/** Whether an error is the end of the client's connection: hung up, too slow, or not HTTP any more. */
function isOfConnection(error: Error & { code?: string }, { req }: Context): boolean {
  return error === req.socket.errored || error === req.errored || CUT_OFF.test(error.code ?? '');
}

/** The response's body was cut off by the end of the connection, or the request ended in the middle. */
const CUT_OFF = /^(ERR_STREAM_PREMATURE_CLOSE|HPE_\w+)$/;

function levelOf(ctx: WebContext): 'debug' | 'info' | 'warn' | 'error' {
  const { failure } = ctx.state;
  if (failure && failure.status >= 500) return levelOfFailure(failure);
  const route = routeOf(ctx);
  // A page has a dozen files.
  return MACHINE_ROUTES.has(route) || (route === FILES_ROUTE && !failure) ? 'debug' : 'info';
}

/** `error` for a fault of the code, `warn` for a failure that passes by itself. */
function levelOfFailure({ type }: ShopError): 'warn' | 'error' {
  return type === 'internal' ? 'error' : 'warn';
}

/** Characters of a path that the log shows. */
const MAX_PATH = 200;
/** Characters that are searched: masking makes a path shorter. */
const MAX_READ = 2_000;
/** Each decoding makes a path shorter; a path that was encoded more often is of no use. */
const MAX_DECODINGS = 100;

const LONGEST_CARD = 19;
/** They separate the parts of a path; an e-mail address is one part. */
const SEPARATORS = '/?#&=;,\\s';
const PARTS = new RegExp(`([${SEPARATORS}]+)`);
const LAST_PART = new RegExp(`[^${SEPARATORS}]*$`);
const ESCAPES = /(?:%[\da-f]{2})+/gi;
/** A card's number with a mistake in it would do as much harm. */
const LONG_NUMBER = /\d{12,}/g;
/** Nothing encoded, no e-mail address, and fewer digits than a card's number has. */
const HARMLESS = /^\/[a-z_./-]*(?:\d[a-z_./-]*){0,11}$/i;
const DIGITS = '[digits]';
const EMAIL = '[email]';
const CUT = '[cut]';

/**
 * The path of a request's address as the log shows it: without its query, with card numbers and e-mail addresses
 * masked, which strangers and faulty programs put there, and then cut to 200 characters.
 *
 * @param address as the client sent it
 */
export function loggedPath(address: string): string {
  const queryAt = address.indexOf('?');
  const path = queryAt === -1 ? address : address.slice(0, queryAt);
  if (path.length <= MAX_PATH && HARMLESS.test(path)) return path;
  const decoded = decode(path.slice(0, MAX_READ));
  const whole = path.length <= MAX_READ ? decoded : withoutCutEnd(decoded) + CUT;
  const masked = maskCardNumbers(whole, DIGITS)
    .replace(LONG_NUMBER, DIGITS)
    .split(PARTS)
    .map((part) => (/.@./.test(part.normalize('NFKC')) ? EMAIL : part))
    .join('');
  return (masked === decoded ? escapeBytes(path) : encode(masked)).slice(0, MAX_PATH);
}

/** The text without an end that may be half a card number or half an e-mail address: neither would be found. */
function withoutCutEnd(text: string): string {
  const digits = Array.from(text.matchAll(/\p{N}/gu), ({ index }) => index);
  const lastDigits = digits.at(-LONGEST_CARD) ?? digits[0] ?? text.length;
  return text.slice(0, Math.min(lastDigits, text.search(LAST_PART)));
}

/** Undoes percent-encoding, also where it is malformed or was done several times. */
function decode(path: string): string {
  let decoded = path;
  for (let round = 0; round < MAX_DECODINGS; round++) {
    const before = decoded;
    decoded = before.replace(ESCAPES, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString());
    if (decoded === before) break;
  }
  // Half an escape is no digit.
  return decoded.replace(/%[\da-f](?![\da-f])/gi, '%');
}

/** In ASCII: the HTTP parser of Node.js 20.12 lets bytes above 127 through, each as a character of Latin-1. */
function escapeBytes(path: string): string {
  return path.replace(/[^\x21-\x7e]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** In ASCII again, so that a path forges no line and moves no cursor. */
function encode(text: string): string {
  return text
    .split(/(\[(?:digits|email|cut)\])/)
    .map((part, i) => (i % 2 === 1 ? part : encodeURI(part)))
    .join('');
}
