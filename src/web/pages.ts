import type { Catalogue } from '../shop/catalogue/catalogue.ts';
import { money, SHIPPING_CENTS } from '../shop/money.ts';
import type { Flash } from '../shop/sessions/flash.ts';
import type { CategoryView, Page } from '../shop/views.ts';
import type { Assets } from './assets.ts';
import { takeFlash } from './session.ts';
import type { WebContext } from './state.ts';
import type { Templates } from './templates.ts';

/** What `layout.pug`, and so every page, is given beside its own view. */
export interface LayoutView {
  /** Units in the visitor's open cart. */
  cartCount: number;
  /** All categories, for the navigation. */
  categories: CategoryView[];
  /** Cost of a delivery; the same for every order. */
  shippingCents: number;
  /** A message to show once, or null. */
  flash: Flash | null;
  /** Path of this request, to mark the current place in the navigation. */
  path: string;
  /** The search that the page shows, for the search box; only `ShopView` has one. */
  q?: string;
  /** Slug of the category that the page shows, to mark it in the navigation; only `ShopView` has one. */
  category?: string;
  /** The request's id, shown on error pages so that support finds the log line. */
  requestId: string;
  /** Cents as `R$ 1.234,56`. */
  money(cents: number): string;
  /** Address of a file of `public/` with its version, so that browsers may keep it for a year: `asset('shop.css')`. */
  asset(path: string): string;
}

/** `error.pug` */
export interface ErrorView {
  status: number;
  heading: string;
  message: string;
}

/** The pages that visitors see. */
export interface Pages {
  /** A page as HTML. The caller shows it, unless the visitor has been answered with an error meanwhile. */
  render(ctx: WebContext, page: Page): Promise<string>;
  /** The page that an error carries. Like the next two, this asks no database, because that may be what failed. */
  showAgain(ctx: WebContext, page: Page): void;
  showError(ctx: WebContext, view: ErrorView): void;
  /**
   * An error page whose text is always the same. It is rendered once, because an overloaded shop has no time for more.
   */
  showRefusal(ctx: WebContext, view: ErrorView): void;
}

export interface PagesDeps {
  assets: Assets;
  catalogue: Catalogue;
  templates: Templates;
}

/** The part of the layout that depends on the request. */
type RequestView = Pick<LayoutView, 'cartCount' | 'path' | 'requestId' | 'flash'>;

/** Stands for the request's id in a page that is rendered for many requests. */
const ANY_REQUEST: RequestView = { cartCount: 0, path: '', requestId: 'id-of-any-request', flash: null };

export function createPages({ assets, catalogue, templates }: PagesDeps): Pages {
  /** By message, with the categories that they show. */
  const refusals = new Map<string, { html: string; categories: readonly CategoryView[] }>();

  function render(name: string, view: object, request: RequestView, categories: readonly CategoryView[]): string {
    const template = templates[name];
    if (!template) throw new Error(`there is no template ${name}.pug`);
    const shared: LayoutView = {
      ...request,
      categories: [...categories],
      shippingCents: SHIPPING_CENTS,
      money,
      asset: assets.url,
    };
    return template({ ...shared, ...view });
  }

  return {
    async render(ctx, { page, view }) {
      const categories = await catalogue.categories();
      return render(page, view, { ...requestView(ctx), flash: takeFlash(ctx) }, categories);
    },
    showAgain(ctx, { page, view }) {
      showHtml(ctx, render(page, view, requestView(ctx), catalogue.knownCategories()));
    },
    showError(ctx, view) {
      showHtml(ctx, render('error', view, requestView(ctx), catalogue.knownCategories()));
    },
    showRefusal(ctx, view) {
      const categories = catalogue.knownCategories();
      let refusal = refusals.get(view.message);
      if (refusal?.categories !== categories) {
        refusal = { html: render('error', view, ANY_REQUEST, categories), categories };
        refusals.set(view.message, refusal);
      }
      showHtml(ctx, refusal.html.replace(ANY_REQUEST.requestId, ctx.state.requestId));
    },
  };
}

export function showHtml(ctx: WebContext, html: string): void {
  ctx.type = 'html';
  ctx.body = html;
}

function requestView(ctx: WebContext): RequestView {
  const { visitor, requestId } = ctx.state;
  return { cartCount: visitor?.cartCount ?? 0, path: ctx.path, requestId, flash: null };
}
