import type Router from '@koa/router';
import type { Context } from 'koa';
import { encode, negotiate } from '../../http/encodings.ts';
import { FILES_ROUTE, readLiveFiles } from './files.ts';
import type { Live } from './live.ts';
import { createPages, readChoice } from './page.ts';

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * The addresses of the primary's pages for people, and of their files.
 *
 * @param mayRead whether the request may see the numbers; the page asks for the token where it may not
 */
export function addPages(router: Router, live: Live, mayRead: (ctx: Context) => boolean): void {
  const files = readLiveFiles();
  const pages = createPages(files);

  router.get('/', (ctx) => {
    const page = mayRead(ctx) ? { structure: live.structure(), frame: live.frame() } : null;
    sendPage(ctx, pages.live(page, readChoice(ctx.query)));
  });
  router.get('/runbook', (ctx) => sendPage(ctx, pages.runbook(readChoice(ctx.query).language)));
  router.get(FILES_ROUTE, (ctx) => files.serve(ctx));
}

function sendPage(ctx: Context, html: string): void {
  const encoding = negotiate(ctx.get('accept-encoding'));
  if (encoding !== 'identity') ctx.set('Content-Encoding', encoding);
  ctx.vary('Accept-Encoding');
  ctx.set({ 'Content-Security-Policy': POLICY, 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-store' });
  ctx.type = 'html';
  ctx.body = encode(Buffer.from(html), encoding);
}
