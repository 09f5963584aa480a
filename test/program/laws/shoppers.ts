import { Agent, type IncomingMessage, request } from 'node:http';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import { whenDone } from '../../support/wait.ts';

/** A product that shoppers add, always the same number of units, so that the units tell the number of adds. */
export interface Article {
  readonly id: number;
  readonly slug: string;
  readonly units: number;
}

/** The number of requests that were sent and of answers that arrived. */
export interface Count {
  sent: number;
  acknowledged: number;
}

/** The requests and answers of all shoppers together. */
export interface Ledger {
  /** Adds to carts by slug. An add is acknowledged by the redirect to the product. */
  readonly adds: Map<string, Count>;
  /** All requests. */
  readonly requests: Count;
  /** Answers by `method route status`. */
  readonly answers: Map<string, number>;
  /** Errors of requests without an answer. */
  failures: string[];
}

export interface Shoppers {
  readonly ledger: Ledger;
  /** Acknowledged adds so far. */
  acknowledged(): number;
  /** Stops after the requests under way. */
  stop(): Promise<Ledger>;
}

/** Twice the limit of a page. A request without an answer by then has failed. */
const DEADLINE_MS = 4_000;
/** Adds of one visitor: few enough for at most 99 units of a product in a cart, and for new connections to new workers. */
const ADDS_PER_VISITOR = 20;
const MAX_UNITS = 3;

/** The products in stock, with a number of units for each. */
export async function findArticles(knex: Knex): Promise<Article[]> {
  const rows: { id: number; slug: string }[] = await knex('products').where('stock', '>', 0).orderBy('id');
  return rows.map(({ id, slug }) => ({ id, slug, units: 1 + (id % MAX_UNITS) }));
}

export interface ShoppersOptions {
  shopUrl: string;
  articles: readonly Article[];
  clients: number;
  /** Longest random pause of a client between two requests, so that starting workers get their share of the CPU. */
  maxPauseMs: number;
}

/** Starts clients that add to carts, each over its own connection, until they are stopped. */
export function startShoppers(t: TestContext, options: ShoppersOptions): Shoppers {
  const { articles, clients } = options;
  const ledger: Ledger = {
    adds: new Map(articles.map(({ slug }) => [slug, { sent: 0, acknowledged: 0 }])),
    requests: { sent: 0, acknowledged: 0 },
    answers: new Map(),
    failures: [],
  };
  const shopping = { open: true };
  const all = Array.from({ length: clients }, () => shop(options, ledger, shopping));
  async function stop(): Promise<Ledger> {
    shopping.open = false;
    await Promise.all(all);
    return ledger;
  }
  whenDone(t, stop);
  return { ledger, acknowledged: () => sum(ledger.adds, 'acknowledged'), stop };
}

export function sum(counts: Map<string, Count>, of: keyof Count): number {
  return [...counts.values()].reduce((total, count) => total + count[of], 0);
}

async function shop(
  { shopUrl, articles, maxPauseMs }: ShoppersOptions,
  ledger: Ledger,
  shopping: { open: boolean },
): Promise<void> {
  while (shopping.open) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const visitor = { agent, shopUrl, ledger, cookies: new Map<string, string>() };
    await send(visitor, 'GET', '/', '/');
    for (let i = 0; shopping.open && i < ADDS_PER_VISITOR; i++) {
      const article = articles[Math.floor(Math.random() * articles.length)] as Article;
      const count = ledger.adds.get(article.slug) as Count;
      count.sent += 1;
      const path = `/add_to_cart/${article.id}`;
      const status = await send(visitor, 'POST', '/add_to_cart/:id', path, `quantity=${article.units}`);
      if (status === 302) count.acknowledged += 1;
      await sleep(Math.random() * maxPauseMs);
    }
    agent.destroy();
  }
}

interface VisitorState {
  readonly agent: Agent;
  readonly shopUrl: string;
  readonly ledger: Ledger;
  readonly cookies: Map<string, string>;
}

/**
 * Sends one request without a retry. An answer counts when its head has arrived.
 *
 * @returns the status, or null without an answer
 */
function send(
  { agent, shopUrl, ledger, cookies }: VisitorState,
  method: string,
  route: string,
  path: string,
  form?: string,
): Promise<number | null> {
  ledger.requests.sent += 1;
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const headers = {
    ...(cookie && { cookie }),
    ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': form.length }),
  };
  return new Promise((resolve) => {
    let status: number | null = null;
    function receive(response: IncomingMessage): void {
      status = response.statusCode ?? 0;
      ledger.requests.acknowledged += 1;
      const key = `${method} ${route} ${status}`;
      ledger.answers.set(key, (ledger.answers.get(key) ?? 0) + 1);
      for (const line of response.headers['set-cookie'] ?? []) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        cookies.set(name, value);
      }
      response.on('error', () => {}).resume();
    }
    const asked = request(new URL(path, shopUrl), { agent, method, headers, signal: AbortSignal.timeout(DEADLINE_MS) });
    asked.on('response', receive);
    asked.on('error', (error) => {
      if (status === null) ledger.failures.push(error.message);
    });
    asked.on('close', () => resolve(status));
    asked.end(form);
  });
}
