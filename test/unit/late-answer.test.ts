import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Koa from 'koa';
import { deferred } from '../../src/promises.ts';
import type { Shop } from '../../src/shop/route.ts';
import { businessRoutes } from '../../src/shop/routes.ts';
import { keepDeadline } from '../../src/web/limits.ts';
import type { Pages } from '../../src/web/pages.ts';
import { matchRoutes } from '../../src/web/router.ts';
import type { PlainRouteDeps } from '../../src/web/routes.ts';
import type { RequestState, WebMiddleware } from '../../src/web/state.ts';
import { silentLog } from '../support/log.ts';
import { whenDone } from '../support/wait.ts';

test('an answer that is ready while the 503 of its deadline is on its way is dropped', async (t) => {
  const changed = deferred<{ rows: { cartCount: number }[] }>();
  const query = Object.assign(changed.promise, { queryContext: () => ({}) });
  const app = new Koa<RequestState>();
  app.use(async (ctx, next) => {
    await next().catch(() => {
      ctx.status = 503;
    });
  });
  const pass: WebMiddleware = (_ctx, next) => next();
  const matchRoute = matchRoutes({
    routes: businessRoutes,
    shop: { database: { raw: () => query } } as unknown as Shop,
    pages: {} as Pages,
    plainRouteDeps: {} as PlainRouteDeps,
    beforeForms: [],
    shedLoad: () => pass,
    async sessionCookie(_ctx, next) {
      try {
        await next();
      } finally {
        changed.resolve({ rows: [{ cartCount: 1 }] });
        await nextTurn();
      }
    },
    keepDeadline: keepDeadline(1, silentLog),
    admitVisitor: pass,
  });
  app.use(matchRoute);
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenDone(t, () => server.close());

  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/remove_item/1`, { method: 'POST', redirect: 'manual' });
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('location'), null);
});
