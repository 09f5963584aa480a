import type { TestContext } from 'node:test';
import axe from 'axe-core';
import { type Browser, chromium, type LaunchOptions, type Page } from 'playwright-core';
import { CUSTOMER } from '../support/visitor.ts';
import { whenDone } from '../support/wait.ts';

/** Debian's Chromium, unless `CHROMIUM` names another. */
const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Chromium's sandbox does not start for root, as in CI. The other flags keep the browser from other connections. */
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

/** Limit of one action on a busy machine. */
const PATIENCE_MS = 30_000;

/** Widths in CSS pixels. */
export const DESKTOP = 1280;
export const PHONE = 360;

/** A document that the browser requested, for itself or for a script, redirects included. */
export interface DocumentSeen {
  method: string;
  path: string;
  status: number;
}

/** A window with cookies of its own. */
export interface Window {
  readonly page: Page;
  readonly documents: readonly DocumentSeen[];
  /** Console errors, CSP violations, exceptions, failed resources and requests to other hosts so far. */
  readonly complaints: readonly string[];
  /** Acts, and waits until the page that this leads to is loaded. */
  follow(act: () => Promise<unknown>): Promise<void>;
}

export interface WindowOptions {
  javaScript?: boolean;
  width?: number;
}

/**
 * Starts a browser; it ends with the test.
 *
 * @param keepsLivingPages whether it shows a page as it was left when the visitor goes back to it, as browsers do. Not
 *   by default, because Playwright cannot follow each change of such a page
 */
export async function startBrowser(t: TestContext, { keepsLivingPages = false } = {}): Promise<Browser> {
  const browser = await launchChromium({
    ignoreDefaultArgs: keepsLivingPages ? ['--disable-back-forward-cache'] : [],
  });
  whenDone(t, () => browser.close());
  return browser;
}

export function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, args: FLAGS, timeout: 60_000, ...options });
}

export async function openWindow(
  browser: Browser,
  origin: string,
  { javaScript = true, width = DESKTOP }: WindowOptions = {},
): Promise<Window> {
  const context = await browser.newContext({
    baseURL: origin,
    javaScriptEnabled: javaScript,
    viewport: { width, height: 800 },
    // The contrast of a colour in transition cannot be measured.
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const documents: DocumentSeen[] = [];
  const complaints: string[] = [];

  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    const { protocol, origin: asked } = new URL(request.url());
    if (asked !== origin && protocol !== 'data:') complaints.push(`asks a stranger: ${request.url()}`);
  });
  page.on('response', (response) => {
    const request = response.request();
    const path = new URL(response.url()).pathname;
    const isDocument = request.isNavigationRequest() || request.resourceType() === 'fetch';
    if (isDocument) documents.push({ method: request.method(), path, status: response.status() });
    else if (response.status() >= 400) complaints.push(`${response.status()} ${path}`);
  });
  page.on('console', (message) => {
    // Chromium logs this for pages too, whose status the test checks. Other resources are checked above.
    const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status of');
    if (['error', 'warning'].includes(message.type()) && !isStatus) complaints.push(message.text());
  });

  return {
    page,
    documents,
    complaints,
    async follow(act) {
      const arrived = page.waitForEvent('framenavigated');
      await Promise.all([arrived, act()]);
      await page.waitForLoadState('load');
    },
  };
}

/** The faults that axe-core finds in the page that is shown, one line each. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run(document, { resultTypes: ["violations"] })');
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/** For fingers, in CSS pixels (WCAG 2.2, success criterion 2.5.5). */
const TARGET = 44;

/**
 * The links, buttons and fields that are smaller than a finger needs. A link inside a sentence may be as high as its
 * line; the label of a field belongs to it; a card is one target, whose link lies over all of it.
 */
export function smallTargets(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const isInSentence = (element) =>
      getComputedStyle(element).display === 'inline' && element.parentElement.innerText.trim() !== element.innerText.trim();
    const sizeOf = (element) => {
      const boxes = [element, ...(element.labels ?? [])].map((part) => part.getBoundingClientRect());
      const left = Math.min(...boxes.map((box) => box.left));
      const top = Math.min(...boxes.map((box) => box.top));
      return {
        width: Math.max(...boxes.map((box) => box.right)) - left,
        height: Math.max(...boxes.map((box) => box.bottom)) - top,
      };
    };
    return [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().bottom > 0)
      .filter((element) => !element.matches('.card__link') && !isInSentence(element))
      .map((element) => ({ element, ...sizeOf(element) }))
      .filter(({ width, height }) => Math.min(width, height) < ${TARGET} - 0.5)
      .map(({ element, width, height }) => Math.round(width) + ' × ' + Math.round(height) + ': ' + element.outerHTML);
  })()`);
}

/** The number of CSS pixels by which the page is wider than the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

/** What a shopper types into the shop's own form; the state and the city come from the postal code. */
export const TYPED = {
  first_name: CUSTOMER.first_name,
  last_name: CUSTOMER.last_name,
  email: CUSTOMER.email,
  mobile: CUSTOMER.mobile,
  zip: CUSTOMER.zip,
  address1: 'Rua das Flores',
  number: '10',
  address2: CUSTOMER.address2,
  district: 'Bela Vista',
  card_number: CUSTOMER.card_number,
  card_name: CUSTOMER.card_name,
  expiry_date: CUSTOMER.expiry_date,
  cvv: CUSTOMER.cvv,
};

/** Fills in the checkout form. */
export async function fillCheckout(page: Page, changes: Partial<typeof TYPED> = {}): Promise<void> {
  for (const [name, value] of Object.entries({ ...TYPED, ...changes }))
    await page.locator(`[name=${name}]`).fill(value);
}
