import type { Catalogue } from '../shop/catalogue/catalogue.ts';
import { money, SHIPPING_CENTS } from '../shop/money.ts';
import type { Assets } from './assets.ts';
import { takeFlash } from './session.ts';
import type { WebContext } from './state.ts';
import type { Templates } from './templates.ts';
import type { ErrorView, LayoutView, Page } from './views.ts';

/** The pages that visitors see. */
export interface Pages {
  show(ctx: WebContext, page: Page): Promise<void>;
  /** Asks no database, which may be the reason for the error. */
  showError(ctx: WebContext, view: ErrorView): Promise<void>;
}

export interface PagesDeps {
  assets: Assets;
  catalogue: Catalogue;
  templates: Templates;
}

/** Renders them with what every page is given. */
export function createPages({ assets, catalogue, templates }: PagesDeps): Pages {
  function render(ctx: WebContext, name: string, view: object, layout: Pick<LayoutView, 'categories' | 'flash'>): void {
    const template = templates[name];
    if (!template) throw new Error(`there is no template ${name}.pug`);
    const shared: LayoutView = {
      ...layout,
      cartCount: ctx.state.visitor?.cartCount ?? 0,
      shippingCents: SHIPPING_CENTS,
      path: ctx.path,
      requestId: ctx.state.requestId,
      money,
      asset: assets.url,
    };
    ctx.type = 'html';
    ctx.body = template({ ...shared, ...view });
  }

  return {
    async show(ctx, { page, view }) {
      const categories = [...(await catalogue.categories())];
      render(ctx, page, view, { categories, flash: takeFlash(ctx) });
    },
    async showError(ctx, view) {
      render(ctx, 'error', view, { categories: [...catalogue.knownCategories()], flash: null });
    },
  };
}
