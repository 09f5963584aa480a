/*
 * `npm run screenshots`: takes the pictures of the READMEs into `docs/images`, in a shop of its own that is full of
 * shoppers. Needs Debian's Chromium, or another one that the variable CHROMIUM names.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { runWithResources } from '../bench/resources.ts';
import { startShop } from '../bench/shop.ts';
import type { ReleaseStack } from '../src/cluster/release.ts';
import { fillCheckout, launchChromium } from '../test/browser/window.ts';
import { until } from '../test/support/wait.ts';
import { createMetricsSource, readRoutes } from './metrics.ts';
import { OWN_SIGNALS, openWindow, take } from './pictures.ts';
import { createTally, type Tally } from './tally.ts';
import { startTraffic } from './traffic.ts';

const WORKERS = 2;
/** Quicker than people, so that the charts have something to show after some minutes. */
const TRAFFIC = { shoppers: 30, thinkSeconds: 1, seed: 'screenshots' };
const ENOUGH_ORDERS = 40;
const PATIENCE_MS = 600_000;

/** Pictures of each window's purchase. */
const ON_DESKTOP = ['home', 'product', 'checkout', 'confirmation'];
const ON_PHONE = ['home', 'product', 'cart', 'confirmation'];

const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, hasTouch: true };
const LIVE: BrowserContextOptions = { viewport: { width: 1280, height: 1200 } };

/** Its stream has begun, its charts are drawn, and the people are counted. */
const SHOWS_PEOPLE = `
  document.querySelector('[data-connection]').dataset.connection === 'live' &&
  document.querySelector('canvas') !== null &&
  document.querySelector('[data-metric="shop_active_sessions"]').dataset.value > 0`;

await runWithResources(takeAll);

async function takeAll(resources: ReleaseStack): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fake-shop-screenshots-'));
  resources.add(folder, () => rm(folder, { recursive: true, force: true }));
  const shop = await startShop(folder, resources, { workers: WORKERS });
  const metrics = createMetricsSource(new URL(shop.opsOrigin), undefined);
  const tally = createTally(readRoutes(await metrics.scrape()));
  resources.add(startTraffic({ ...TRAFFIC, url: new URL(shop.origin) }, tally), (traffic) => traffic.end());
  const browser = await launchChromium(OWN_SIGNALS);
  resources.add(browser, () => browser.close());

  await takeShop(browser, { ...DESKTOP, baseURL: shop.origin }, 'desktop', ON_DESKTOP);
  await takeShop(browser, { ...PHONE, baseURL: shop.origin }, 'phone', ON_PHONE);
  await until(`${ENOUGH_ORDERS} orders`, () => ordersIn(tally) >= ENOUGH_ORDERS, PATIENCE_MS);
  for (const colorScheme of ['light', 'dark'] as const) {
    await takeLivePage(browser, `${shop.opsOrigin}/`, colorScheme, `live-${colorScheme}.pt-BR`);
    await takeLivePage(browser, `${shop.opsOrigin}/?lang=en`, colorScheme, `live-${colorScheme}.en`);
  }
}

function ordersIn(tally: Tally): number {
  return tally.of('shop_orders_total{outcome="paid"}');
}

/**
 * Buys something, with pictures on the way.
 *
 * @param wanted which ones; their files are named `home-desktop`
 */
async function takeShop(
  browser: Browser,
  options: BrowserContextOptions,
  device: string,
  wanted: readonly string[],
): Promise<void> {
  const page = await openWindow(browser, { ...options, colorScheme: 'light' });
  const show = async (name: string) => {
    if (wanted.includes(name)) await take(page, `${name}-${device}`);
  };
  await page.goto('/');
  await show('home');
  for (const product of [4, 1]) {
    await page.goto(`/detail/${product}`);
    if (product === 1) await show('product');
    await page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click();
    await page.waitForURL(/\/(?:detail|cart)/);
  }
  await page.goto('/cart');
  await show('cart');
  await page.goto('/checkout');
  await fillCheckout(page);
  await page.evaluate('scrollTo(0, 0)');
  await show('checkout');
  await page.locator('form[action="/checkout"] button[type=submit]').last().click();
  await page.waitForURL('**/order_confirmation/*');
  await show('confirmation');
  await page.context().close();
}

async function takeLivePage(
  browser: Browser,
  address: string,
  colorScheme: 'light' | 'dark',
  name: string,
): Promise<void> {
  const page = await openWindow(browser, { ...LIVE, colorScheme });
  await page.goto(address);
  await until('the live page shows people', () => page.evaluate<boolean>(SHOWS_PEOPLE));
  await take(page, name);
  await page.context().close();
}
