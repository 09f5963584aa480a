import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { createNegotiator, type Encoding, encode } from '../http/encodings.ts';
import type { CommonPage } from '../shop/route.ts';
import type { Flash } from '../shop/sessions/flash.ts';
import { type ReadyBody, sendReady } from './bodies.ts';
import type { WebContext } from './state.ts';

/** From here on the page shows `99+` units. */
const MOST_SHOWN = 100;
/**
 * Memory for prepared answers, in bytes. The seeded shop has 75 such pages of 4 kB compressed, so this is enough for the
 * usual ten numbers of units.
 */
const MEMORY = 8 * 1024 * 1024;

/** The parts of a request that a common page shows. */
export interface PersonalPart {
  /** Units in the cart; undefined while they can't be counted, and the page shows none. */
  readonly cartCount: number | undefined;
  readonly flash: Flash | null;
  /** From `originOf`: one of a few. */
  readonly origin: string | null;
}

/** An answer as bytes. It holds nothing of a visitor but the {@link PersonalPart} in its key. */
interface Prepared extends ReadyBody {
  /** Of the catalogue for which it is known to be right. A reference would keep that in memory. */
  version: number;
  /** Of the page before it was encoded. */
  readonly hash: string;
}

export interface PreparedPages {
  /** Answers with a common page. */
  show(ctx: WebContext, page: CommonPage, personal: PersonalPart): void;
}

/**
 * Keeps the answers of common pages as they are sent, each prepared when it is first asked for. When the catalogue has
 * changed, a page is rendered anew at its next visit, and encoded anew only if it is another.
 *
 * @param render the page as HTML; must depend on nothing but its arguments
 */
export function createPreparedPages(render: (page: CommonPage, personal: PersonalPart) => string): PreparedPages {
  const negotiate = createNegotiator();
  const answers = new LRUCache<string, Prepared>({
    maxSize: MEMORY,
    // A kilobyte stands for the key and the headers.
    sizeCalculation: ({ body }) => body.length + 1024,
  });

  function prepare(page: CommonPage, personal: PersonalPart, encoding: Encoding, former?: Prepared): Prepared {
    const html = Buffer.from(render(page, personal));
    const hash = createHash('sha256').update(html).digest('base64url');
    if (former?.hash === hash) {
      former.version = page.catalogue.version;
      return former;
    }
    return {
      version: page.catalogue.version,
      hash,
      body: encode(html, encoding),
      headers: headersOf(hash, encoding, personal),
    };
  }

  return {
    show(ctx, page, { cartCount, flash, origin }) {
      const personal = { cartCount: cartCount && Math.min(cartCount, MOST_SHOWN), flash, origin };
      const encoding = negotiate(ctx.req.headers['accept-encoding']);
      const key = `${encoding} ${origin} ${personal.cartCount} ${page.address} ${flash?.text ?? ''}`;
      const former = answers.get(key);
      let answer = former;
      if (answer?.version !== page.catalogue.version) {
        answer = prepare(page, personal, encoding, former);
        if (answer !== former) answers.set(key, answer);
      }
      sendReady(ctx, answer);
    },
  };
}

/**
 * A browser may keep the page, but has to ask each time whether it is still right, which mostly costs a 304. Going back
 * in the history, browsers show what they have kept without asking. `Vary: Cookie` makes them ask once the cart has
 * changed, because its change has changed the cookie. A browser that has kept the living page asks from `shop.js`;
 * without scripts it shows the former count until the next page. A message is shown once, and an unknown count is soon
 * known, so a page with one of these is never kept.
 */
function headersOf(hash: string, encoding: Encoding, { cartCount, flash }: PersonalPart): Prepared['headers'] {
  const shared = [
    ['Content-Type', 'text/html; charset=utf-8'],
    ['Vary', 'Accept-Encoding, Cookie'],
    ...(encoding === 'identity' ? [] : [['Content-Encoding', encoding] as const]),
  ] as const;
  if (flash || cartCount === undefined) return [...shared, ['Cache-Control', 'no-store']];
  return [...shared, ['Cache-Control', 'private, no-cache'], ['ETag', `"${hash}-${encoding}"`]];
}
