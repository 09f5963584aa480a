import type { Language } from '../format.ts';
import { textIn } from '../texts.ts';
import { headersOf } from './connection.ts';
import { setText } from './numbers.ts';

/** Where a profile is kept until the browser has saved it. */
const SAVE_MS = 60_000;

/**
 * Answers of `/debug/…` about a worker, below the table of workers. Without this script its links open the answers
 * themselves, where no token is needed.
 */
export function showInsideOnClick(root: ParentNode, language: Language, token: string | null): void {
  const place = root.querySelector<HTMLElement>('[data-inside]');
  if (!place) return;
  const title = place.querySelector<HTMLElement>('[data-inside-title]');
  const text = place.querySelector<HTMLElement>('[data-inside-text]');
  const links = [...root.querySelectorAll<HTMLAnchorElement>('a[data-debug]')];
  let isAsking = false;

  place.querySelector('[data-inside-close]')?.addEventListener('click', () => {
    place.hidden = true;
  });

  async function ask(link: HTMLAnchorElement): Promise<void> {
    const what = link.dataset.debug as 'stack' | 'profile' | 'heap';
    if (!place || isAsking) return;
    isAsking = true;
    place.hidden = false;
    setText(title, link.getAttribute('aria-label') ?? '');
    setText(text, textIn(language, what === 'stack' ? 'inside.asking' : 'inside.sampling'));
    try {
      const response = await fetch(link.href, { headers: headersOf(token) });
      const isFile = response.ok && what === 'profile';
      if (isFile) save(await response.blob(), response.headers.get('content-disposition'));
      setText(text, isFile ? textIn(language, 'inside.saved') : await response.text());
    } catch {
      setText(text, textIn(language, 'inside.lost'));
    } finally {
      isAsking = false;
    }
  }

  for (const link of links) {
    link.addEventListener('click', (event) => {
      event.preventDefault();
      void ask(link);
    });
  }
}

function save(content: Blob, disposition: string | null): void {
  const [, name = 'worker.cpuprofile'] = /filename="([^"]+)"/.exec(disposition ?? '') ?? [];
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVE_MS);
}
