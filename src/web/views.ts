/**
 * What each page in `templates/` is given. A template reads nothing that is not here, so this file is the
 * contract between the routes and the pages.
 */

import type { CategoryView } from '../shop/views.ts';

export * from '../shop/views.ts';

/** Given to every page. */
export interface LayoutView {
  /** Units in the visitor's open cart. */
  cartCount: number;
  /** All categories, for the navigation. */
  categories: CategoryView[];
  /** What a delivery costs, whatever the order. */
  shippingCents: number;
  /** A message to show once, or null. */
  flash: FlashView | null;
  /** Path of this request, to mark the current place in the navigation. */
  path: string;
  /** The request's id, shown on error pages so that support finds the log line. */
  requestId: string;
  /** Cents as `R$ 1.234,56`. */
  money(cents: number): string;
  /** Address of a file of `public/` with its version, so that browsers may keep it for ever: `asset('shop.css')`. */
  asset(path: string): string;
}

export interface FlashView {
  kind: 'success' | 'error' | 'info';
  text: string;
}

/** `error.pug` */
export interface ErrorView {
  status: number;
  heading: string;
  message: string;
}
