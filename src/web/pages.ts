import type { Catalogue } from '../shop/catalogue/catalogue.ts';
import { money, SHIPPING_CENTS } from '../shop/money.ts';
import type { CategoryView } from '../shop/views.ts';
import type { Assets } from './assets.ts';
import { takeFlash } from './session.ts';
import type { WebContext } from './state.ts';
import type { Templates } from './templates.ts';
import type { ErrorView, LayoutView, Page } from './views.ts';

/** The pages that visitors see. */
export interface Pages {
  /** A page as HTML, for the caller to show: until it is there, its visitor may have been answered otherwise. */
  render(ctx: WebContext, page: Page): Promise<string>;
  /** The page that an error brings with it. Like the next two it asks no database, which may be the error's reason. */
  showAgain(ctx: WebContext, page: Page): void;
  showError(ctx: WebContext, view: ErrorView): void;
  /** An error page whose text is always the same, rendered once: a shop that is overloaded has no time for more. */
  showRefusal(ctx: WebContext, view: ErrorView): void;
}

export interface PagesDeps {
  assets: Assets;
  catalogue: Catalogue;
  templates: Templates;
}

/** What a page tells of the request that it answers. */
type Asked = Pick<LayoutView, 'cartCount' | 'path' | 'requestId' | 'flash'>;

/** Stands for the request's id in a page that is rendered for many requests. */
const ANY_REQUEST: Asked = { cartCount: 0, path: '', requestId: 'id-of-any-request', flash: null };

/** Renders them with what every page is given. */
export function createPages({ assets, catalogue, templates }: PagesDeps): Pages {
  /** By message, with the categories that they show. */
  const refusals = new Map<string, { html: string; categories: readonly CategoryView[] }>();

  function render(name: string, view: object, asked: Asked, categories: readonly CategoryView[]): string {
    const template = templates[name];
    if (!template) throw new Error(`there is no template ${name}.pug`);
    const shared: LayoutView = {
      ...asked,
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
      return render(page, view, { ...askedBy(ctx), flash: takeFlash(ctx) }, categories);
    },
    showAgain(ctx, { page, view }) {
      showHtml(ctx, render(page, view, askedBy(ctx), catalogue.knownCategories()));
    },
    showError(ctx, view) {
      showHtml(ctx, render('error', view, askedBy(ctx), catalogue.knownCategories()));
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

function askedBy(ctx: WebContext): Asked {
  const { visitor, requestId } = ctx.state;
  return { cartCount: visitor?.cartCount ?? 0, path: ctx.path, requestId, flash: null };
}
