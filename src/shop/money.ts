const REAIS = new Intl.NumberFormat('pt-BR', { style: 'currency', currency: 'BRL' });

/** Shipping of every order, in cents of BRL. */
export const SHIPPING_CENTS = 1_000;

/** Cents as `R$ 1.234,56`, with a no-break space. */
export function money(cents: number): string {
  return REAIS.format(cents / 100);
}

/** The most instalments of an order, all without interest. */
export const MAX_INSTALLMENTS = 10;
/** The least amount of one of several instalments, in cents of BRL. */
const LEAST_INSTALLMENT_CENTS = 1_000;

/** The least total that may be paid in so many instalments, in cents of BRL. */
export function leastTotalCents(installments: number): number {
  return installments === 1 ? 0 : installments * LEAST_INSTALLMENT_CENTS;
}

/** The most instalments for a total in cents of BRL: 1 to {@link MAX_INSTALLMENTS}. */
export function mostInstallments(totalCents: number): number {
  return Math.max(1, Math.min(MAX_INSTALLMENTS, Math.floor(totalCents / LEAST_INSTALLMENT_CENTS)));
}

/**
 * Splits a total into instalments, in cents of BRL, that add up to it exactly. Cents that can't be divided are in the
 * first ones, one in each.
 */
export function splitTotal(totalCents: number, installments: number): number[] {
  const each = Math.floor(totalCents / installments);
  const rest = totalCents % installments;
  return Array.from({ length: installments }, (_, index) => (index < rest ? each + 1 : each));
}

/** The instalments of an order, to the cent: `3x de R$ 40,00 sem juros`, `3x sem juros: 1 de R$ 33,34 + 2 de R$ 33,33`. */
export function installmentsText(totalCents: number, installments: number): string {
  if (installments === 1) return `1x de ${money(totalCents)}`;
  const amounts = splitTotal(totalCents, installments);
  const [first = 0, last = 0] = [amounts[0], amounts.at(-1)];
  if (first === last) return `${installments}x de ${money(first)} sem juros`;
  const higher = amounts.lastIndexOf(first) + 1;
  const times = (count: number, cents: number) => `${count}\u00a0de\u00a0${money(cents)}`;
  return `${installments}x sem juros: ${times(higher, first)} + ${times(installments - higher, last)}`;
}

/**
 * What a product's price means in the most instalments, in short: `10x de R$ 24,99 sem juros`. None is higher; where
 * cents can't be divided, some are a cent lower.
 *
 * @returns null for a price that is paid at once
 */
export function installmentsOffer(priceCents: number): string | null {
  const most = mostInstallments(priceCents);
  return most === 1 ? null : `${most}x de ${money(Math.ceil(priceCents / most))} sem juros`;
}
