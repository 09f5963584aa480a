import type { TestContext } from 'node:test';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
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

/** A document that the browser requested, redirects included. */
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

/** Starts a browser; it ends with the test. */
export async function startBrowser(t: TestContext): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: FLAGS, timeout: 60_000 });
  whenDone(t, () => browser.close());
  return browser;
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
    if (request.isNavigationRequest()) documents.push({ method: request.method(), path, status: response.status() });
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

/** The number of CSS pixels by which the page is wider than the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

/** Fills in the checkout form. */
export async function fillCheckout(page: Page, changes: Partial<typeof CUSTOMER> = {}): Promise<void> {
  for (const [name, value] of Object.entries({ ...CUSTOMER, ...changes })) {
    const field = page.locator(`[name=${name}]`);
    if (name === 'state' || name === 'country') await field.selectOption(value);
    else await field.fill(value);
  }
}
