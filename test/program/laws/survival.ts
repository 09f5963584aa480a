import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Knex } from 'knex';
import { until } from '../../support/wait.ts';
import { type Fault, type FrailShop, startFrailShop } from './frail-shop.ts';
import { type Footprint, proveNothingLeaks, readFootprint } from './leaks.ts';
import { type Article, type Count, findArticles, type Ledger, type Shoppers, startShoppers, sum } from './shoppers.ts';
import { watchTotals } from './watch.ts';

/** The ways to die, and the label `reason` under which the shop counts each. */
const DEATHS = {
  SIGKILL: 'signal',
  'killed by its next answer': 'signal',
  SIGTERM: 'exit',
  exception: 'exception',
  'out of memory': 'out_of_memory',
} as const;
type Death = keyof typeof DEATHS;

export interface SurvivalOptions {
  workers: number;
  clients: number;
  /** The number of workers to kill, each in the next of the five ways. */
  deaths: number;
  /** The number of deaths after which all workers are replaced by a reload. */
  reloadAfter: number;
}

const CALM_ADDS = 200;
/** Adds that are acknowledged between one death and the next. */
const ADDS_BETWEEN_DEATHS = 10;
const MAX_PAUSE_MS = 40;
/** Workers are replaced one after the other, and a busy machine starts each slowly. */
const RELOAD_MS = 240_000;

/**
 * Clients shop while every scrape is compared with the one before. First no worker dies, and one reload happens: no request
 * may fail, and all counts must be equal. Then workers die: no count may be lost, doubled or decrease. After the second
 * reload, deaths may leave no series, file, descriptor or memory behind.
 */
export async function proveNothingIsLost(t: TestContext, options: SurvivalOptions): Promise<void> {
  const shop = await startFrailShop(t, { workers: options.workers });
  const articles = await findArticles(shop.knex);
  const watch = watchTotals(t, shop.opsUrl);

  const shopping = { shopUrl: shop.shopUrl, articles, clients: options.clients, maxPauseMs: MAX_PAUSE_MS };
  const calm = startShoppers(t, shopping);
  await until('the shoppers have added enough', () => calm.acknowledged() >= CALM_ADDS);
  await reload(shop);
  const calmLedger = await calm.stop();
  assert.deepEqual(calmLedger.failures, []);
  await checkCounts(shop, articles, [calmLedger], 'equal');

  const shoppers = startShoppers(t, shopping);
  await holdUpCommits(shop, shoppers);
  const { died, early } = await killWorkers(shop, options, () => shoppers.acknowledged());
  const ledger = await shoppers.stop();
  // Each client has one request under way. A worker that receives SIGTERM finishes its requests.
  const cuts = options.deaths - (died.get('exit') ?? 0);
  assert.ok(ledger.failures.length <= cuts * options.clients, ledger.failures.join());
  const watched = await watch.stop();
  assert.deepEqual(watched.decreases, []);
  await checkCounts(shop, articles, [calmLedger, ledger], 'at most');

  const scrape = await shop.metrics();
  for (const [reason, count] of died) {
    assert.equal(scrape.of('shop_worker_restarts_total', { reason }), count, reason);
  }
  assert.ok(early, 'deaths go on after the reload');
  proveNothingLeaks(t, early, await readFootprint(shop));
  t.diagnostic(
    `${options.deaths} deaths, ${watched.scrapes} scrapes (slowest ${watched.slowestMs.toFixed()} ms), ` +
      `${sum(ledger.adds, 'acknowledged')} of ${sum(ledger.adds, 'sent')} adds acknowledged, ` +
      `${ledger.failures.length} requests cut off`,
  );
}

/** Blocks adds in the database until some have failed: an add that is not committed must not be counted. */
async function holdUpCommits({ knex }: FrailShop, { ledger }: Shoppers): Promise<void> {
  await knex.transaction(async (transaction) => {
    await transaction.raw('lock table cart_items in exclusive mode');
    await until('adds fail', () => ledger.answers.has('POST /add_to_cart/:id 503'));
  });
}

async function killWorkers(
  shop: FrailShop,
  { deaths, reloadAfter }: SurvivalOptions,
  acknowledged: () => number,
): Promise<{ died: Map<string, number>; early: Footprint | undefined }> {
  const ways = Object.keys(DEATHS) as Death[];
  const died = new Map<string, number>();
  let early: Footprint | undefined;
  for (let i = 0; i < deaths; i++) {
    const way = ways[i % ways.length] as Death;
    await killOne(shop, way);
    died.set(DEATHS[way], (died.get(DEATHS[way]) ?? 0) + 1);
    if (i === reloadAfter) {
      await reload(shop);
      early = await readFootprint(shop);
    }
    const seen = acknowledged();
    await until('the shoppers add more', () => acknowledged() >= seen + ADDS_BETWEEN_DEATHS);
  }
  return { died, early };
}

/** Kills a serving worker, but never the last one. */
async function killOne(shop: FrailShop, fault: Fault): Promise<void> {
  const victim = await until('two workers serve', async () => {
    const serving = (await shop.status()).workers.filter(({ state }) => state === 'serving');
    return serving.length >= 2 && serving[Math.floor(Math.random() * serving.length)];
  });
  shop.strike(victim.pid as number, fault);
  await until(`worker ${victim.worker} ends by ${fault}`, async () => {
    const now = (await shop.status()).workers.find(({ worker }) => worker === victim.worker);
    return now?.restarts === victim.restarts + 1;
  });
}

async function reload(shop: FrailShop): Promise<void> {
  const everyPlaceServes = async () => (await shop.status()).workers.every(({ state }) => state === 'serving');
  await until('every place serves', everyPlaceServes);
  const reloads = () => shop.output().match(/"msg":"reloaded"/g)?.length ?? 0;
  const before = reloads();
  process.kill(shop.pid, 'SIGHUP');
  await until('the workers are reloaded', () => reloads() > before, RELOAD_MS);
}

/** Asserts acknowledged ≤ counted ≤ committed ≤ sent for each product and for HTTP, and equality when no worker died. */
async function checkCounts(
  { knex, metrics }: FrailShop,
  articles: readonly Article[],
  ledgers: readonly Ledger[],
  relation: 'equal' | 'at most',
): Promise<void> {
  // In this order: adds that are committed meanwhile may raise the later numbers, never the earlier ones.
  const scrape = await metrics();
  const committed = await committedUnits(knex);

  function inOrder(what: string, counts: Record<string, number>): void {
    const values = Object.values(counts);
    const ordered = values.every((value, i) => i === 0 || value >= (values[i - 1] as number));
    const same = values.every((value) => value === values[0]);
    assert.ok(relation === 'equal' ? same : ordered, `${what}: ${JSON.stringify(counts)}`);
  }

  for (const { slug, units } of articles) {
    const { sent, acknowledged } = total(ledgers.map(({ adds }) => adds.get(slug)));
    const product = { product: slug };
    inOrder(slug, {
      acknowledged,
      counted: scrape.of('shop_cart_additions_total', product),
      committed: (committed.get(slug) ?? 0) / units,
      sent,
    });
    inOrder(`units of ${slug}`, {
      acknowledged: acknowledged * units,
      counted: scrape.of('shop_cart_units_added_total', product),
      committed: committed.get(slug) ?? 0,
      sent: sent * units,
    });
  }

  const { sent, acknowledged } = total(ledgers.map(({ requests }) => requests));
  inOrder('requests', { acknowledged, counted: scrape.of('http_request_duration_seconds_count'), sent });
  for (const [answer, acknowledged] of totalAnswers(ledgers)) {
    const [method = '', route = '', status_code = ''] = answer.split(' ');
    const counted = scrape.of('http_request_duration_seconds_count', { method, route, status_code });
    inOrder(answer, { acknowledged, counted });
  }
}

function totalAnswers(ledgers: readonly Ledger[]): Map<string, number> {
  const totals = new Map<string, number>();
  for (const { answers } of ledgers) {
    for (const [answer, count] of answers) totals.set(answer, (totals.get(answer) ?? 0) + count);
  }
  return totals;
}

async function committedUnits(knex: Knex): Promise<Map<string, number>> {
  const rows: { slug: string; units: string }[] = await knex('cart_items')
    .join('products', 'products.id', 'cart_items.product_id')
    .groupBy('products.slug')
    .select('products.slug')
    .sum({ units: 'quantity' });
  return new Map(rows.map(({ slug, units }) => [slug, Number(units)]));
}

function total(counts: readonly (Count | undefined)[]): Count {
  const all = { sent: 0, acknowledged: 0 };
  for (const count of counts) {
    all.sent += count?.sent ?? 0;
    all.acknowledged += count?.acknowledged ?? 0;
  }
  return all;
}
