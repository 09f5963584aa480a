import type { Cart } from './cart/cart.ts';
import type { STATES } from './checkout/cep.ts';
import type { Delivery } from './delivery.ts';

/** Variables of each page: the contract between the routes and `templates/`. */

export interface CategoryView {
  slug: string;
  name: string;
}

/** A product in a list. `picture` is a path below `public/`, for `asset()`. */
export interface ProductCardView {
  id: number;
  slug: string;
  name: string;
  summary: string;
  priceCents: number;
  stock: number;
  picture: string;
  category: CategoryView;
}

/** A row of the table on a product's page. */
export interface ProductFact {
  name: string;
  value: string;
}

export interface ProductView extends ProductCardView {
  /** Paragraphs separated by blank lines. */
  description: string;
  facts: ProductFact[];
}

/** `home.pug` */
export interface HomeView {
  /** Empty until something is sold. */
  bestSellers: ProductCardView[];
  featured: ProductCardView[];
  newest: ProductCardView[];
}

/** `shop.pug` */
export interface ShopView {
  products: ProductCardView[];
  /** Products that match, over all pages. */
  total: number;
  page: number;
  pages: number;
  q: string;
  /** Slug of the chosen category, or empty. */
  category: string;
  sort: string;
  sorts: { value: string; label: string }[];
  /** Address of another page of the same search. */
  pageUrl(page: number): string;
}

/** `detail.pug` */
export interface DetailView {
  product: ProductView;
  related: ProductCardView[];
}

/** `cart.pug`: `cart.items` is empty for an empty cart. */
export interface CartPageView {
  cart: Cart;
}

/** The fields of `POST /checkout`, in the order of the form, which has no `country`. */
export const CHECKOUT_FIELDS = [
  'first_name',
  'last_name',
  'email',
  'mobile',
  'zip',
  'address1',
  'number',
  'no_number',
  'address2',
  'district',
  'city',
  'state',
  'country',
  'payment_method',
  'card_name',
  'card_number',
  'expiry_date',
  'cvv',
  'installments',
] as const;
export type CheckoutField = (typeof CHECKOUT_FIELDS)[number];

/** `checkout.pug`: also shown again, with status 422, when the form has mistakes or the card is declined. */
export interface CheckoutPageView {
  cart: Cart;
  /** The visitor's former entries; never the card's number, expiry or CVV. */
  form: Partial<Record<CheckoutField, string>>;
  /** A message in Portuguese per wrong field; `form` for the whole. */
  errors: Partial<Record<CheckoutField | 'form', string>>;
  /** Hidden field `cart`: the cart's id, so that a repeated submit finds the order that it made. Hidden field
   * `total_cents`: the total that the page shows, so that no other is charged. */
  cartId: string;
  /** To choose from, and for the script that fills in the state and the city. */
  states: typeof STATES;
}

/** `pix.pug` */
export interface PixPageView {
  pix: {
    reference: string;
    /** Whether it can be paid, or why it ended without an order. */
    state: 'waiting' | 'expired' | 'sold_out' | 'replaced' | 'failed';
    totalCents: number;
    /** For "copia e cola". */
    brCode: string;
    /** The same as a square picture: its width, and the path of its dark modules. */
    qrCode: { size: number; path: string };
    /** Until it expires; 0 afterwards. */
    secondsLeft: number;
    /** When the simulated provider pays it by itself; null with a real one. */
    paidAfterSeconds: number | null;
  };
}

/** `order_confirmation.pug` */
export interface OrderConfirmationView {
  order: {
    number: string;
    createdAt: Date;
    items: {
      name: string;
      slug: string;
      picture: string;
      quantity: number;
      unitPriceCents: number;
      totalCents: number;
    }[];
    subtotalCents: number;
    shippingCents: number;
    totalCents: number;
    /** `installments` is 1 for a Pix. */
    payment: { method: 'card' | 'pix'; installments: number };
    customer: { name: string; email: string; mobile: string };
    /** Lines of the delivery address. */
    address: string[];
    /** Null where the shop can't tell. */
    delivery: Delivery | null;
  };
}

/** Every page by the name of its template. */
export interface PageViews {
  home: HomeView;
  shop: ShopView;
  detail: DetailView;
  contact: Record<string, never>;
  cart: CartPageView;
  checkout: CheckoutPageView;
  pix: PixPageView;
  order_confirmation: OrderConfirmationView;
}

/** One page together with its variables. */
export type Page = { [Name in keyof PageViews]: { page: Name; view: PageViews[Name] } }[keyof PageViews];
