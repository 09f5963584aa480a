import { isBrazil, placeOfCep, type StateCode } from './checkout/cep.ts';

/** When a parcel arrives, weekends left out; holidays are not known here. */
export interface Delivery {
  /** Business days after the day of the order. */
  days: readonly [least: number, most: number];
  /** The first and the last day on which it may arrive, as midnight in UTC. */
  from: Date;
  to: Date;
}

/** Business days by road from São Paulo. The shop is a demonstration: no carrier has promised them. */
const DAYS: Record<StateCode, readonly [least: number, most: number]> = {
  ...sameDays(['SP'], [2, 4]),
  ...sameDays(['RJ', 'MG', 'ES', 'PR', 'SC', 'RS'], [3, 6]),
  ...sameDays(['DF', 'GO', 'MS', 'MT'], [4, 8]),
  ...sameDays(['BA', 'SE', 'AL', 'PE', 'PB', 'RN', 'CE', 'PI', 'MA'], [5, 10]),
  ...sameDays(['TO', 'PA', 'RO', 'AC', 'AM', 'AP', 'RR'], [8, 15]),
};

function sameDays<Code extends StateCode>(codes: readonly Code[], days: readonly [number, number]) {
  return Object.fromEntries(codes.map((code) => [code, days])) as Record<Code, readonly [number, number]>;
}

/** Business days over all states. */
export const DELIVERY_DAYS = {
  least: Math.min(...Object.values(DAYS).map(([least]) => least)),
  most: Math.max(...Object.values(DAYS).map(([, most]) => most)),
};

const DAY_MS = 24 * 60 * 60 * 1000;
const [SUNDAY, SATURDAY] = [0, 6];
/** `2026-11-27` */
const SHOP_DAY = new Intl.DateTimeFormat('sv-SE', { timeZone: 'America/Sao_Paulo' });

/**
 * Estimates when an order arrives.
 *
 * @returns null for an address abroad, and for a postal code that no state has
 */
export function estimateDelivery(order: { createdAt: Date; zip: string; country: string }): Delivery | null {
  const place = isBrazil(order.country) ? placeOfCep(order.zip) : null;
  if (!place) return null;
  const days = DAYS[place.state];
  const ordered = new Date(SHOP_DAY.format(order.createdAt));
  return { days, from: afterBusinessDays(ordered, days[0]), to: afterBusinessDays(ordered, days[1]) };
}

function afterBusinessDays(day: Date, count: number): Date {
  let left = count;
  let after = day;
  while (left > 0) {
    after = new Date(after.getTime() + DAY_MS);
    if (after.getUTCDay() !== SATURDAY && after.getUTCDay() !== SUNDAY) left--;
  }
  return after;
}
