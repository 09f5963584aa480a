/*
 * `npm run screenshots:faults`: takes the pictures of docs/game-days.md, each fault in a shop of its own that is full of
 * shoppers, and prints how long it took until the live page named the fault. Needs Debian's Chromium, or another one that
 * the variable CHROMIUM names. Names of faults as arguments take those alone.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { runWithResources } from '../bench/resources.ts';
import { startShop } from '../bench/shop.ts';
import { type ReleaseStack, releaseStack } from '../src/cluster/release.ts';
import { LANGUAGES, type Language } from '../src/ops/live/format.ts';
import type { Frame, Hello } from '../src/ops/live/model.ts';
import { projectRoot } from '../src/paths.ts';
import { launchChromium } from '../test/browser/window.ts';
import { ANSWERS, type Answer, isAnswered, SHOPPERS } from '../test/support/answer-key.ts';
import { switchFault } from '../test/support/faults.ts';
import { until } from '../test/support/wait.ts';
import { createMetricsSource, readRoutes } from './metrics.ts';
import { OWN_SIGNALS, openWindow, take } from './pictures.ts';
import { createTally } from './tally.ts';
import { startTraffic } from './traffic.ts';

const LIVE: BrowserContextOptions = { viewport: { width: 860, height: 900 }, colorScheme: 'light' };
const ENOUGH_ORDERS = 5;
const PATIENCE_MS = 300_000;

/** The sentence and the lamps. */
const VERDICT = '[data-verdict]';
const SHOWS_LEVEL = `document.querySelector('${VERDICT}').dataset.level !== 'good'`;

const FILE_LANGUAGE: Record<Language, string> = { pt: 'pt-BR', en: 'en' };

const wanted = process.argv.slice(2);
const chosen = ANSWERS.filter(({ fault }) => wanted.length === 0 || wanted.includes(fault));

await runWithResources(takeAll);

async function takeAll(resources: ReleaseStack): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fake-shop-faults-'));
  resources.add(folder, () => rm(folder, { recursive: true, force: true }));
  await mkdir(join(projectRoot, 'docs/images/faults'), { recursive: true });
  const browser = await launchChromium(OWN_SIGNALS);
  resources.add(browser, () => browser.close());
  for (const answer of chosen) {
    const own = releaseStack((error) => console.error(error));
    resources.add(own, () => own.release());
    await takeFault(answer, folder, browser, own);
    await own.release();
  }
}

async function takeFault(answer: Answer, folder: string, browser: Browser, resources: ReleaseStack): Promise<void> {
  const { fault } = answer;
  const shop = await startShop(folder, resources, { workers: 2, env: { FAULTS: 'true' } });
  const metrics = createMetricsSource(new URL(shop.opsOrigin), undefined);
  const tally = createTally(readRoutes(await metrics.scrape()));
  resources.add(startTraffic({ ...SHOPPERS, url: new URL(shop.origin), seed: fault }, tally), (traffic) =>
    traffic.end(),
  );
  const ordered = () => tally.of('shop_orders_total{outcome="paid"}') >= ENOUGH_ORDERS;
  await until(`${fault}: people buy`, ordered, PATIENCE_MS);
  await until(
    `${fault}: all is well`,
    async () => (await readFrame(shop.opsOrigin)).verdict.level === 'good',
    PATIENCE_MS,
  );

  // Before the fault, which may leave a browser no time to start.
  const pages: [Language, Page][] = [];
  for (const language of LANGUAGES) {
    const page = await openWindow(browser, LIVE);
    await page.goto(`${shop.opsOrigin}/?lang=${language}`);
    pages.push([language, page]);
  }
  await switchFault({ opsUrl: shop.opsOrigin }, fault, true);
  const beganMs = performance.now();
  const isNamed = async () => {
    const { lamps, verdict } = await readFrame(shop.opsOrigin);
    const lit = lamps.filter(({ level }) => level !== 'good');
    const isAlone = lit.length === 1 && lit.every((lamp) => isAnswered(answer, lamp));
    return isAlone && [answer.rule, 'checkout_slow'].includes(verdict.rule);
  };
  await until(`${fault}: the live page names it`, isNamed, PATIENCE_MS);
  console.log(`${fault}: named after ${Math.round((performance.now() - beganMs) / 1000)} s`);
  for (const [language, page] of pages) {
    const isShown = async () => (await isNamed()) && page.evaluate<boolean>(SHOWS_LEVEL);
    await until(`${fault}: the page shows it`, isShown, PATIENCE_MS);
    await take(page, `faults/${fault}.${FILE_LANGUAGE[language]}`, VERDICT);
    await page.context().close();
  }
}

/** The frame with which the stream of the live page begins. */
async function readFrame(origin: string): Promise<Frame> {
  const abort = new AbortController();
  const response = await fetch(`${origin}/live/stream`, {
    signal: AbortSignal.any([abort.signal, AbortSignal.timeout(10_000)]),
  });
  let text = '';
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString('utf8');
      const [, data] = /^event: hello\ndata: (.+)\n\n/.exec(text) ?? [];
      if (data !== undefined) return (JSON.parse(data) as Hello).frame;
    }
  } finally {
    abort.abort();
  }
  throw new Error(`the live page said nothing: ${text}`);
}
