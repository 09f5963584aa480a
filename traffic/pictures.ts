import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { projectRoot } from '../src/paths.ts';
import { until } from '../test/support/wait.ts';

const IMAGES = join(projectRoot, 'docs/images');
/** GitHub loads all of a page at once. */
const LARGEST_BYTES = 150_000;
/** Of WebP, 0 to 100. */
const QUALITY = 85;

/** Playwright would end the process at a signal, before the shop has stopped. */
export const OWN_SIGNALS = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };

/** Of those in the window: the others may load later. */
const ARE_PICTURES_THERE = `[...document.images].every((image) => {
  const { top, bottom } = image.getBoundingClientRect();
  return image.complete || !image.checkVisibility() || bottom < 0 || top > innerHeight;
})`;

export async function openWindow(browser: Browser, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext({ ...options, locale: 'pt-BR', reducedMotion: 'reduce' });
  return context.newPage();
}

/**
 * Takes what the window shows, once its pictures are there, into `docs/images`. Playwright itself takes no WebP.
 *
 * @param name of the file, without `.webp`
 * @param part a selector: takes this element alone
 */
export async function take(page: Page, name: string, part?: string): Promise<void> {
  await until(`the pictures of ${name} are there`, () => page.evaluate<boolean>(ARE_PICTURES_THERE));
  const box = part === undefined ? null : await page.locator(part).boundingBox();
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', {
    format: 'webp',
    quality: QUALITY,
    ...(box && { clip: { ...box, scale: 1 } }),
  });
  await session.detach();
  const image = Buffer.from(data, 'base64');
  if (image.length > LARGEST_BYTES) throw new Error(`${name} has ${image.length} bytes, more than ${LARGEST_BYTES}`);
  await writeFile(join(IMAGES, `${name}.webp`), image);
  console.log(`${name}.webp: ${Math.round(image.length / 1000)} kB`);
}
