import Router from '@koa/router';
import { methodNotAllowed } from '../shop/errors.ts';
import type { Answer, Route, Shop } from '../shop/route.ts';
import { businessRoutes } from '../shop/routes.ts';
import { formOf } from './form.ts';
import { type Pages, showHtml } from './pages.ts';
import { type PlainRouteDeps, plainRoutes } from './routes.ts';
import { isVisit, setFlash } from './session.ts';
import type { RequestState, WebContext, WebMiddleware } from './state.ts';

export interface RouterOptions {
  shop: Shop;
  pages: Pages;
  plainRouteDeps: PlainRouteDeps;
  /** Middleware of every page. */
  beforePages: readonly WebMiddleware[];
  /** Middleware of every posted form, before `beforePages`. */
  beforeForms: readonly WebMiddleware[];
}

/** Matches requests to routes, all in one list, so that `_matchedRoute` is the template from the first guard on. */
export function createRouter({
  shop,
  pages,
  plainRouteDeps,
  beforePages,
  beforeForms,
}: RouterOptions): Router<RequestState> {
  const router = new Router<RequestState>();
  for (const route of businessRoutes) {
    const guards = route.method === 'POST' ? [...beforeForms, ...beforePages] : beforePages;
    router.register(route.path, [route.method], [...guards, (ctx) => answer(ctx, route, shop, pages)]);
  }
  for (const { path, handle } of plainRoutes) {
    router.register(path, ['GET'], [(ctx) => handle(ctx, plainRouteDeps)]);
  }
  return router;
}

async function answer(ctx: WebContext, route: Route, shop: Shop, pages: Pages): Promise<void> {
  const given: Answer = await route.handle(
    {
      isVisit: isVisit(ctx),
      params: ctx.params,
      query: ctx.query,
      form: formOf(ctx),
      sessionId: ctx.state.visitor?.id ?? '',
    },
    shop,
  );
  const html = 'page' in given && !ctx.state.failure ? await pages.render(ctx, given) : null;
  // Too late: the visitor has been answered, and a new body would cut off the response that is on its way.
  if (ctx.state.failure) return;
  // A page shows the visitor's cart and messages: no cache may keep it.
  ctx.set('Cache-Control', 'no-store');
  if (html !== null) {
    ctx.status = 200;
    showHtml(ctx, html);
  } else if ('redirect' in given) {
    if (given.flash) setFlash(ctx, given.flash);
    ctx.redirect(given.redirect);
  }
}

/** Refuses a method that an existing address doesn't have; answers `OPTIONS` with the methods that it has. */
export function refuseMethod(): WebMiddleware {
  return async function refuseMethod(ctx, next) {
    const layers: { methods: string[] }[] = ctx.matched ?? [];
    if (layers.length === 0) return next();
    const allow = [...new Set([...layers.flatMap(({ methods }) => methods), 'OPTIONS'])].sort();
    if (ctx.method !== 'OPTIONS') throw methodNotAllowed(allow);
    ctx.status = 204;
    ctx.set('Allow', allow.join(', '));
  };
}
