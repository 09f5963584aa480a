import Router from '@koa/router';
import { followQueries } from '../instrument/http.ts';
import { methodNotAllowed } from '../shop/errors.ts';
import type { Answer, Route, Shop } from '../shop/route.ts';
import { chain } from './chain.ts';
import { exemplarOf } from './exemplar.ts';
import { formOf } from './form.ts';
import type { Pages } from './pages.ts';
import { type PlainRouteDeps, plainRoutes } from './routes.ts';
import { isVisit, setFlash } from './session.ts';
import type { RequestState, WebContext, WebMiddleware } from './state.ts';

export interface RouterOptions {
  /** Pages and forms of the business. */
  routes: readonly Route[];
  shop: Shop;
  pages: Pages;
  plainRouteDeps: PlainRouteDeps;
  /** Middleware of every posted form. */
  beforeForms: readonly WebMiddleware[];
  /** These two are for pages that wait for more than the count of the cart. */
  shedLoad: (hasOwnLimits: boolean) => WebMiddleware;
  keepDeadline: WebMiddleware;
  sessionCookie: WebMiddleware;
  admitVisitor: WebMiddleware;
}

/** A page from memory, which most requests are for. */
interface CommonRoute {
  readonly route: string;
  /** Addresses in their usual form, with the parameters of the path as groups. */
  readonly pattern: RegExp;
  readonly handle: WebMiddleware;
}

/**
 * Matches requests to routes, all in one list, so that `_matchedRoute` is the template from the first guard on.
 *
 * Pages from memory are looked for first: the router matches an address with all its routes, reads the host, and joins the
 * middleware anew for each request, which takes a tenth of such a page's time. An address that is written in another way
 * is left to it.
 */
export function matchRoutes({
  routes,
  shop,
  pages,
  plainRouteDeps,
  beforeForms,
  shedLoad,
  keepDeadline,
  sessionCookie,
  admitVisitor,
}: RouterOptions): WebMiddleware {
  const router = new Router<RequestState>();
  const commonRoutes: CommonRoute[] = [];
  for (const route of routes) {
    const forms = route.method === 'POST' ? beforeForms : [];
    const guards = route.isFromMemory
      ? [sessionCookie, unlessKnown(chain([followQueries, admitVisitor]))]
      : [followQueries, ...forms, shedLoad(route.hasOwnLimits === true), sessionCookie, keepDeadline, admitVisitor];
    const handle = chain([...guards, (ctx) => answer(ctx, route, shop, pages)]);
    router.register(route.path, [route.method], handle);
    if (route.isFromMemory) commonRoutes.push({ route: route.path, pattern: patternOf(route.path), handle });
  }
  for (const { path, handle } of plainRoutes) {
    router.register(path, ['GET'], [(ctx) => handle(ctx, plainRouteDeps)]);
  }
  const matchAll = router.routes() as WebMiddleware;

  return function matchRoutes(ctx, next) {
    const { method, path } = ctx;
    if (method !== 'GET' && method !== 'HEAD') return matchAll(ctx, next);
    for (const { route, pattern, handle } of commonRoutes) {
      const match = pattern.exec(path);
      if (!match) continue;
      ctx._matchedRoute = route;
      ctx.params = match.groups ?? {};
      return handle(ctx, next);
    }
    return matchAll(ctx, next);
  };
}

/** Matches `/detail/17` for `/detail/:id`. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/:(\w+)/g, '(?<$1>[\\w-]+)')}$`);
}

/** A page from memory waits only where the cookie does not have the cart's count, and then not for long. */
function unlessKnown(guard: WebMiddleware): WebMiddleware {
  return (ctx, next) => (ctx.state.visitor?.cartCount === undefined ? guard(ctx, next) : next());
}

async function answer(ctx: WebContext, route: Route, shop: Shop, pages: Pages): Promise<void> {
  const given: Answer = await route.handle(
    {
      // A script shows a part of the page at most: the message and the count after an add, see public/shop.js.
      isVisit: isVisit(ctx) && ctx.get('Sec-Fetch-Dest') !== 'empty',
      params: ctx.params,
      query: ctx.query,
      form: route.method === 'POST' ? formOf(ctx) : NO_FIELDS,
      sessionId: ctx.state.visitor?.id ?? '',
      exemplar: () => (shop.log.isLevelEnabled('info') ? exemplarOf(ctx) : undefined),
    },
    shop,
  );
  // A new body would cut off the response that is on its way.
  if (ctx.state.isLate) return;
  if (ctx.state.visitor && given.cartCount !== undefined) ctx.state.visitor.cartCount = given.cartCount;
  if ('address' in given) pages.showCommon(ctx, given);
  else {
    // It is of this visitor, at this moment: no cache may keep it.
    ctx.set('Cache-Control', 'no-store');
    if ('page' in given) pages.show(ctx, given);
    else if ('json' in given) ctx.body = given.json;
    else {
      if (given.flash) setFlash(ctx, given.flash);
      ctx.redirect(given.redirect);
    }
  }
}

const NO_FIELDS = {};

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
