import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import Router, { type RouterMiddleware } from '@koa/router';
import { WorkerRegistry } from '@techcommerce/cluster-metrics';
import { type Exposition, parseExposition } from '@techcommerce/cluster-metrics/testing';
import Koa, { type Middleware } from 'koa';
import { followQueries, timeRequests } from '../../src/instrument/http.ts';
import type { MeasuredRoute, WorkerMetrics } from '../../src/instrument/worker-metrics.ts';
import { createWorkerMetrics } from '../../src/instrument/worker-metrics.ts';
import { whenDone } from './wait.ts';

export interface MeasuredWorker {
  metrics: WorkerMetrics;
  scrape(): Promise<Exposition>;
  /** Scrapes one metric alone, which is cheap. */
  scrapeOnly(name: string): Promise<Exposition>;
}

export const PRODUCTS = ['mochila-urbana', 'caneca-azul'];
export const ROUTES: MeasuredRoute[] = [
  { method: 'GET', route: '/', statuses: [200] },
  { method: 'GET', route: '/detail/:id', statuses: [200, 404] },
  { method: 'POST', route: '/detail/:id', statuses: [302, 429] },
  { method: 'GET', route: '/slow', statuses: [200] },
];

/** All metrics of a worker on a registry of their own. */
export function measuredWorker(): MeasuredWorker {
  const registry = new WorkerRegistry();
  const metrics = createWorkerMetrics(registry, { worker: '1', routes: ROUTES, poolMax: 3 });
  metrics.declareProducts(PRODUCTS);
  return {
    metrics,
    async scrape() {
      return parseExposition(await registry.metrics());
    },
    async scrapeOnly(name) {
      return parseExposition(`${await registry.getSingleMetricAsString(name)}\n`);
    },
  };
}

export interface MeasuredApp extends MeasuredWorker {
  url: string;
}

/** A Koa application on a real port, with timed requests. */
export async function measuredApp(
  t: TestContext,
  handlers: Partial<Record<'/' | '/detail/:id' | '/slow', RouterMiddleware>>,
  ...inner: Middleware[]
): Promise<MeasuredApp> {
  const worker = measuredWorker();
  const router = new Router();
  for (const [path, handler] of Object.entries(handlers)) router.all(path, handler);
  const app = new Koa();
  app.silent = true;
  app.use(timeRequests(worker.metrics));
  app.use(followQueries);
  for (const middleware of inner) app.use(middleware);
  app.use(router.routes());
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenDone(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return { ...worker, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
