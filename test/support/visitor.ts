import assert from 'node:assert/strict';

/** A client with cookies of its own. It does not follow redirects. */
export interface Visitor {
  get(path: string, headers?: Record<string, string>): Promise<Page>;
  post(path: string, fields: Record<string, string | number>, headers?: Record<string, string>): Promise<Page>;
}

export interface Page {
  status: number;
  headers: Headers;
  text: string;
  /** The `Location` header, or null. */
  location: string | null;
}

/** A complete, valid form for `POST /checkout`. */
export const CUSTOMER = {
  first_name: 'Ana',
  last_name: 'Souza',
  email: 'ana@example.com',
  mobile: '11987654321',
  address1: 'Rua das Flores, 10',
  address2: 'Apto 2',
  city: 'São Paulo',
  state: 'SP',
  country: 'Brasil',
  zip: '01310-100',
  card_name: 'ANA SOUZA',
  card_number: '4242424242424242',
  expiry_date: '12/39',
  cvv: '123',
};

/** A complete, valid form that pays by Pix. */
export const PIX_BUYER: Record<string, string> = {
  ...Object.fromEntries(Object.entries(CUSTOMER).filter(([name]) => !/^(card_|expiry_date|cvv)/.test(name))),
  payment_method: 'pix',
};

/** The shop's first product, as the catalogue has it. */
export const BACKPACK = { id: 1, slug: 'mochila-urbana', name: 'Mochila Urbana 22 L', cents: 24_990 };
export const SHIPPING_CENTS = 1_000;

/** The simulated provider declines it and approves every other valid number. */
export const DECLINED_CARD = '4000000000000002';

const DEADLINE_MS = 15_000;

export function createVisitor(origin: string): Visitor {
  const cookies = new Map<string, string>();

  async function send(path: string, init: RequestInit & { headers: Record<string, string> }): Promise<Page> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(new URL(path, origin), {
      ...init,
      headers: { ...(cookie && { cookie }), ...init.headers },
      redirect: 'manual',
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) cookies.set(name, value);
    }
    return {
      status: response.status,
      headers: response.headers,
      text: await response.text(),
      location: response.headers.get('location'),
    };
  }

  return {
    get: (path, headers = {}) => send(path, { headers }),
    post: (path, fields, headers = {}) =>
      send(path, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: new URLSearchParams(
          Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]),
        ).toString(),
      }),
  };
}

export interface OpenCheckout {
  shopper: Visitor;
  /** The form's hidden fields. */
  hidden: { cart: string; total_cents: string };
}

/** A shopper who has some units of product 1 in the cart and has opened the checkout. */
export async function atCheckout(shop: { visitor(): Visitor }, quantity = 1): Promise<OpenCheckout> {
  const shopper = shop.visitor();
  assert.equal((await shopper.post('/add_to_cart/1', { quantity })).status, 302);
  return { shopper, hidden: hiddenFields(await shopper.get('/checkout')) };
}

export function hiddenFields({ text }: Page): OpenCheckout['hidden'] {
  const fieldOf = (name: string) => new RegExp(`name="${name}" value="([^"]+)"`).exec(text)?.[1] ?? '';
  return { cart: fieldOf('cart'), total_cents: fieldOf('total_cents') };
}
