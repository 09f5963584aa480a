import { isDatabaseFailure, isEndOfPool } from '../db/index.ts';
import { hungUp, routeOf } from '../instrument/http.ts';
import { countError, type WorkerMetrics } from '../instrument/worker-metrics.ts';
import { malformed, noSuchPage, ShopError, tooLarge, unavailable, unsupportedType } from '../shop/errors.ts';
import type { Pages } from './pages.ts';
import type { WebContext, WebMiddleware } from './state.ts';

const HEADINGS: Record<number, string> = {
  400: 'Não conseguimos entender',
  403: 'Não podemos aceitar este envio',
  404: 'Não encontramos o que você procura',
  405: 'Isso não funciona por aqui',
  409: 'Não foi possível concluir',
  413: 'É texto demais',
  415: 'Formato não aceito',
  422: 'Confira os dados',
  429: 'Só um instante',
  500: 'Algo deu errado',
  503: 'Voltamos já',
};

/**
 * The one place where errors end: each is counted once and becomes a page in Portuguese, or JSON for a client that asks
 * for it.
 */
export function handleErrors(metrics: Pick<WorkerMetrics, 'errors'>, pages: Pages): WebMiddleware {
  return async function handleErrors(ctx, next) {
    try {
      await next();
      if (ctx.status === 404 && (ctx.body === undefined || ctx.body === null)) throw noSuchPage();
      // An error that the primary has answered already, see `showMetrics`.
      if (ctx.state.failure) countError(metrics, routeOf(ctx), ctx.state.failure.type);
    } catch (thrown) {
      // This worker drains and has closed its pool, and the client has gone: no failure of the database.
      if (isEndOfPool(thrown) && hungUp(ctx)) return;
      const error = toShopError(thrown);
      ctx.state.failure = error;
      countError(metrics, routeOf(ctx), error.type);
      answer(ctx, error, pages);
    }
  };
}

function answer(ctx: WebContext, error: ShopError, pages: Pages): void {
  ctx.status = error.status;
  for (const name of ['Content-Encoding', 'Content-Length', 'ETag', 'Last-Modified']) ctx.remove(name);
  ctx.set({ 'Cache-Control': 'no-store', ...error.headers });
  // The rest of an upload is not read.
  if (!ctx.req.complete) ctx.set('Connection', 'close');
  if (ctx.accepts('html', 'json') === 'json') {
    const { type, message, fields } = error;
    ctx.body = { error: { type, message, ...(fields && { fields }) }, requestId: ctx.state.requestId };
  } else if (error.page) {
    pages.showAgain(ctx, error.page);
  } else {
    const { status, message } = error;
    const retryAfter = error.headers['Retry-After'];
    const view = {
      status,
      heading: HEADINGS[status] ?? 'Algo deu errado',
      message,
      retryAfterSeconds: retryAfter === undefined ? null : Number(retryAfter),
      isForm: ctx.method === 'POST',
    };
    if (error.type === 'overload' || error.type === 'rate_limited') {
      pages.showRefusal(ctx, view);
    } else {
      pages.showError(ctx, view);
    }
  }
}

/** The answer to a thrown value. */
export function toShopError(error: unknown): ShopError {
  if (error instanceof ShopError) return error;
  if (isDatabaseFailure(error)) return unavailable('database', { cause: error });
  return fromHttpError(error) ?? new ShopError(500, 'internal', INTERNAL, { cause: error });
}

const INTERNAL = 'Algo deu errado do nosso lado. Já fomos avisados; tente de novo em instantes.';

/** Errors of third-party middleware carry a status, as `http-errors` gives it. */
function fromHttpError(error: unknown): ShopError | null {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  switch (status) {
    case 400:
      return malformed('Não conseguimos ler o que chegou.', { cause: error });
    case 404:
      return noSuchPage();
    case 413:
      return tooLarge({ cause: error });
    case 415:
      return unsupportedType();
    default:
      return null;
  }
}
