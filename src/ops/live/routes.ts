import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { keepOpen } from '../../http/server.ts';
import { projectRoot } from '../../paths.ts';
import { plain } from '../answers.ts';
import type { Live } from './live.ts';
import { SPANS, type Span } from './model.ts';
import { PICTURES } from './products.ts';

const HOUR_SECONDS = 3600;

/**
 * The addresses of the live page's numbers and pictures.
 *
 * @param requireToken for the numbers
 */
export function addLiveRoutes(router: Router, live: Live, requireToken: Middleware): void {
  router.get('/live/stream', requireToken, (ctx) => {
    const refusal = live.refusal();
    if (refusal) return plain(ctx, 503, refusal);
    if (ctx.method === 'HEAD') {
      ctx.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      ctx.body = '';
      return;
    }
    ctx.respond = false;
    keepOpen(ctx.res);
    live.stream(ctx.res);
  });

  router.get('/live/course', requireToken, async (ctx) => {
    const { span } = ctx.query;
    if (!isSpan(span)) return plain(ctx, 400, SPAN_SENTENCE);
    const { json, gzipped } = await live.course(span);
    const isGzip = ctx.acceptsEncodings('gzip', 'identity') === 'gzip';
    ctx.vary('Accept-Encoding');
    if (isGzip) ctx.set('Content-Encoding', 'gzip');
    answer(ctx, isGzip ? gzipped : json);
  });

  router.get('/live/histogram', requireToken, (ctx) => {
    const { span, route } = ctx.query;
    if (!isSpan(span)) return plain(ctx, 400, SPAN_SENTENCE);
    const histogram = typeof route === 'string' ? live.histogram(route, span) : null;
    if (!histogram)
      return plain(ctx, 400, "route must be the template of one of the shop's routes, for example ?route=/shop.");
    answer(ctx, Buffer.from(JSON.stringify(histogram)));
  });

  router.get(`${PICTURES}/:file`, showPicture);
}

const SPAN_SENTENCE = `span must be one of ${SPANS.join(', ')}, for example ?span=5m.`;

function isSpan(span: unknown): span is Span {
  return SPANS.some((each) => each === span);
}

async function showPicture(ctx: Context): Promise<void> {
  const { file = '' } = ctx.params as { file?: string };
  // No slash and no dot but one, so that the name can't lead out of the folder.
  if (!/^[\w-]+\.svg$/.test(file)) return;
  try {
    ctx.body = await readFile(join(projectRoot, 'public', 'products', file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  ctx.type = 'image/svg+xml';
  ctx.set({
    'Cache-Control': `public, max-age=${HOUR_SECONDS}`,
    'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
  });
}

function answer(ctx: Context, json: Buffer): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.type = 'application/json';
  ctx.body = json;
}
