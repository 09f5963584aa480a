import { LRUCache } from 'lru-cache';
import type { CatalogueWatch } from '../shop/catalogue/watch.ts';
import { DELIVERY_DAYS } from '../shop/delivery.ts';
import { installmentsOffer, installmentsText, money, mostInstallments, SHIPPING_CENTS } from '../shop/money.ts';
import type { CommonPage } from '../shop/route.ts';
import type { Flash } from '../shop/sessions/flash.ts';
import type { CategoryView, Page } from '../shop/views.ts';
import type { Assets } from './assets.ts';
import type { OriginOf } from './origin.ts';
import { createPreparedPages } from './prepared.ts';
import { takeFlash } from './session.ts';
import type { WebContext } from './state.ts';
import type { Templates } from './templates.ts';

/** What `layout.pug`, and so every page, is given beside its own view. */
export interface LayoutView {
  /** Units in the visitor's open cart. */
  cartCount: number;
  /** All categories, for the navigation. */
  categories: readonly CategoryView[];
  /** Cost of a delivery; the same for every order. */
  shippingCents: number;
  /** How long a delivery takes, in business days. */
  deliveryDays: { readonly least: number; readonly most: number };
  /** A message to show once, or null. */
  flash: Flash | null;
  /** Path of this request, to mark the current place in the navigation. */
  path: string;
  /** The search that the page shows, for the search box; only `ShopView` has one. */
  q?: string;
  /** Slug of the category that the page shows, to mark it in the navigation; only `ShopView` has one. */
  category?: string;
  /** Origin of absolute addresses, such as `https://shop.example`; null where it is not known. */
  origin: string | null;
  /** The one absolute address of this page, for search engines; null for pages that they do not list. */
  canonical: string | null;
  /** The request's id, shown on error pages so that support finds the log line. */
  requestId: string;
  /** Cents as `R$ 1.234,56`, with a no-break space. */
  money(cents: number): string;
  /** A price in the most instalments, `10x de R$ 24,99 sem juros`, or null if it is paid at once. */
  installmentsOffer(priceCents: number): string | null;
  /** A total in so many instalments, to the cent. */
  installmentsText(totalCents: number, installments: number): string;
  mostInstallments(totalCents: number): number;
  /** Address of a file of `public/` with its version, so that browsers may keep it for a year: `asset('shop.css')`. */
  asset(path: string): string;
}

/** `error.pug` */
export interface ErrorView {
  status: number;
  heading: string;
  message: string;
  /** Seconds after which the same request may succeed; null where waiting does not help. */
  retryAfterSeconds: number | null;
  /** Whether a form was sent, which only the visitor can send again. */
  isForm: boolean;
}

/** The pages that visitors see. */
export interface Pages {
  /** The page that a route answers with, and with it the message for the visitor, if there is one. */
  show(ctx: WebContext, page: Page): void;
  /** The same for a page that is prepared for all visitors. */
  showCommon(ctx: WebContext, page: CommonPage): void;
  /** The page that an error carries. Like the next two, it leaves the message for the next page. */
  showAgain(ctx: WebContext, page: Page): void;
  showError(ctx: WebContext, view: ErrorView): void;
  /**
   * An error page of which only a few forms exist. Each form is rendered once and sent uncompressed, because an overloaded
   * shop has no time for more.
   */
  showRefusal(ctx: WebContext, view: ErrorView): void;
}

export interface PagesDeps {
  assets: Assets;
  catalogue: CatalogueWatch;
  templates: Templates;
  /** Units in the cart of a visitor who is not known yet; undefined where they can't be told. */
  cartCountOf(ctx: WebContext): number | undefined;
  originOf: OriginOf;
}

/** The part of the layout that depends on the request. */
type RequestView = Pick<LayoutView, 'cartCount' | 'path' | 'requestId' | 'flash' | 'origin' | 'canonical'>;

/** The request of a page that is rendered for many: its id marks the places where the real one is put. */
const ANY_REQUEST: RequestView = {
  cartCount: 0,
  path: '',
  requestId: 'id-of-any-request',
  flash: null,
  origin: null,
  canonical: null,
};

/** Always the same, so that a refusal is rendered once. */
const NO_CATEGORIES: readonly CategoryView[] = [];

/** A refusal says one of 60 numbers of seconds, and mostly one of a few numbers of units in the cart. */
const MOST_REFUSALS = 200;

/** A refusal, cut where it shows the request's id, and the categories that it shows. */
interface Refusal {
  readonly parts: readonly Buffer[];
  readonly categories: readonly CategoryView[];
}

export function createPages({ assets, catalogue, templates, cartCountOf, originOf }: PagesDeps): Pages {
  const refusals = new LRUCache<string, Refusal>({ max: MOST_REFUSALS });

  function requestView(ctx: WebContext): RequestView {
    const { visitor, requestId } = ctx.state;
    const cartCount = visitor ? visitor.cartCount : cartCountOf(ctx);
    return {
      cartCount: cartCount ?? 0,
      path: ctx.path,
      requestId,
      flash: null,
      origin: originOf(ctx),
      canonical: null,
    };
  }

  function render(name: string, view: object, request: RequestView, categories: readonly CategoryView[]): string {
    const template = templates[name];
    if (!template) throw new Error(`there is no template ${name}.pug`);
    const shared: LayoutView = {
      ...request,
      categories,
      shippingCents: SHIPPING_CENTS,
      deliveryDays: DELIVERY_DAYS,
      money,
      installmentsOffer,
      installmentsText,
      mostInstallments,
      asset: assets.url,
    };
    return template({ ...shared, ...view });
  }

  const knownCategories = () => catalogue.known()?.categories ?? NO_CATEGORIES;
  const prepared = createPreparedPages(
    ({ page, address, view, catalogue: { categories } }, { cartCount = 0, flash, origin }) => {
      const [path = ''] = address.split('?', 1);
      const canonical = origin === null ? null : `${origin}${address}`;
      return render(page, view(), { ...ANY_REQUEST, cartCount, path, flash, origin, canonical }, categories);
    },
  );

  return {
    show(ctx, { page, view }) {
      showHtml(ctx, render(page, view, { ...requestView(ctx), flash: takeFlash(ctx) }, knownCategories()));
    },
    showCommon(ctx, page) {
      prepared.show(ctx, page, {
        cartCount: ctx.state.visitor?.cartCount,
        flash: takeFlash(ctx),
        origin: originOf(ctx),
      });
    },
    showAgain(ctx, { page, view }) {
      showHtml(ctx, render(page, view, requestView(ctx), knownCategories()));
    },
    showError(ctx, view) {
      showHtml(ctx, render('error', view, requestView(ctx), knownCategories()));
    },
    showRefusal(ctx, view) {
      const categories = knownCategories();
      const { cartCount } = requestView(ctx);
      const key = `${cartCount} ${view.retryAfterSeconds} ${view.isForm} ${view.message}`;
      let refusal = refusals.get(key);
      if (refusal?.categories !== categories) {
        const request = { ...ANY_REQUEST, cartCount };
        const texts = render('error', view, request, categories).split(ANY_REQUEST.requestId);
        refusal = { parts: texts.map((text) => Buffer.from(text)), categories };
        refusals.set(key, refusal);
      }
      ctx.type = 'html';
      const id = Buffer.from(ctx.state.requestId);
      ctx.body = Buffer.concat(refusal.parts.flatMap((part, i) => (i === 0 ? [part] : [id, part])));
    },
  };
}

function showHtml(ctx: WebContext, html: string): void {
  ctx.type = 'html';
  ctx.body = html;
}
