const REAIS = new Intl.NumberFormat('pt-BR', { style: 'currency', currency: 'BRL' });

/** Shipping of every order, in cents of BRL. */
export const SHIPPING_CENTS = 1_000;

/** Cents as `R$ 1.234,56`, with a plain space so that the price is found by a search in the page. */
export function money(cents: number): string {
  return REAIS.format(cents / 100).replace('\u00a0', ' ');
}
