import type { TestContext } from 'node:test';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { CUSTOMER } from '../support/visitor.ts';
import { whenDone } from '../support/wait.ts';

/** Debian's; `CHROMIUM` names another. */
const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** CI runs as root, where Chromium's sandbox refuses to start; the others keep the browser from talking to anyone else. */
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

/** For one action, on a machine that is busy with other tests. */
const PATIENCE_MS = 30_000;

/** Widths in CSS pixels. */
export const DESKTOP = 1280;
export const PHONE = 360;

/** A document that the browser asked for, redirects included. */
export interface DocumentSeen {
  method: string;
  path: string;
  status: number;
}

/** A window with cookies of its own, as if it were another person's browser. */
export interface Window {
  readonly page: Page;
  readonly documents: readonly DocumentSeen[];
  /** Console errors, CSP violations, exceptions, failed resources and requests to strangers so far. */
  readonly complaints: readonly string[];
  /** Does what leads to another page and waits until that is loaded. */
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
    // A colour in transition has no contrast that could be measured.
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
    // Chromium says this of pages too, whose status is for the test to judge; the other resources are judged above.
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

/** What axe-core finds wrong with a page as it is shown, one line each. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run(document, { resultTypes: ["violations"] })');
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/** By how many CSS pixels the page is wider than the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

/** Fills the checkout's form as a customer would. */
export async function fillCheckout(page: Page, changes: Partial<typeof CUSTOMER> = {}): Promise<void> {
  for (const [name, value] of Object.entries({ ...CUSTOMER, ...changes })) {
    const field = page.locator(`[name=${name}]`);
    if (name === 'state' || name === 'country') await field.selectOption(value);
    else await field.fill(value);
  }
}
