import { z } from 'zod';
import type { Card } from '../../payments/gateway.ts';
import { EMPTY, line } from '../input.ts';
import { parseExpiry, passesLuhn } from '../payment/card.ts';
import { crossOutCpf, findCardNumbers } from '../payment/card-numbers.ts';
import { CHECKOUT_FIELDS, type CheckoutField } from '../views.ts';

/** The buyer, and the address of the parcel. */
export interface Customer {
  firstName: string;
  lastName: string;
  email: string;
  mobile: string;
  address1: string;
  address2: string;
  city: string;
  state: string;
  country: string;
  zip: string;
}

export type FieldErrors = Partial<Record<CheckoutField, string>>;

export type ParsedCheckout = { ok: true; customer: Customer; card: Card } | { ok: false; errors: FieldErrors };

/** Fields that are forgotten with the request: not even the form shown again has them. */
const SECRET_FIELDS: ReadonlySet<string> = new Set(['card_number', 'expiry_date', 'cvv']);

const BRAZIL = /^(br|bra|bra[sz]il)$/i;

const STRAY_CARD = 'Parece o número de um cartão. Ele só vai no campo do cartão.';

const required = (max: number) => line(max).min(1, EMPTY);

const checkoutSchema = z
  .object({
    first_name: required(100),
    last_name: required(100),
    email: required(254).pipe(z.email('Digite um e-mail como nome@exemplo.com.br.')),
    mobile: line(30).regex(/^\+?(?:[ ().-]*\d){8,15}[ ().-]*$/, 'Digite o celular com DDD, como (11) 91234-5678.'),
    address1: required(255),
    address2: line(255).default(''),
    city: required(100),
    state: required(60),
    country: required(60).default('Brasil'),
    zip: required(20),
    card_name: required(100),
    card_number: required(40)
      .transform((text) => text.replace(/[ -]/g, ''))
      .refine((digits) => /^\d{13,19}$/.test(digits) && passesLuhn(digits), 'Esse número de cartão não é válido.'),
    expiry_date: required(12)
      .transform(parseExpiry)
      .refine((expires) => expires !== null, 'Digite a validade como MM/AA.')
      .refine((expires) => expires === null || expires.getTime() > Date.now(), 'Esse cartão está vencido.'),
    cvv: required(10).regex(/^\d{3,4}$/, 'O código tem 3 ou 4 números.'),
  })
  .refine(({ country, zip }) => !BRAZIL.test(country) || /^\d{5}-?\d{3}$/.test(zip), {
    path: ['zip'],
    error: 'Digite o CEP com 8 números, como 01310-100.',
  })
  // Other countries have other codes; all are letters and digits (https://en.wikipedia.org/wiki/Postal_code).
  .refine(({ country, zip }) => BRAZIL.test(country) || /^[\p{L}\d][\p{L}\d -]{1,14}$/u.test(zip), {
    path: ['zip'],
    error: 'Digite o código postal do endereço.',
  });

/** Reads a posted checkout form; every wrong field gets one message. */
export function parseCheckout(form: Readonly<Record<string, unknown>>): ParsedCheckout {
  const parsed = checkoutSchema.safeParse(form);
  const strays = fieldsWithStrayCards(form);
  if (!parsed.success || strays.size > 0) {
    const errors: FieldErrors = {};
    for (const field of strays) errors[field] = STRAY_CARD;
    for (const { path, message } of parsed.error?.issues ?? []) errors[path[0] as CheckoutField] ??= message;
    return { ok: false, errors };
  }
  const fields = parsed.data;
  return {
    ok: true,
    customer: {
      firstName: fields.first_name,
      lastName: fields.last_name,
      email: fields.email,
      mobile: fields.mobile,
      address1: fields.address1,
      address2: fields.address2,
      city: fields.city,
      state: fields.state,
      country: fields.country,
      zip: fields.zip,
    },
    card: {
      holder: fields.card_name,
      number: fields.card_number,
      expires: fields.expiry_date as Date,
      cvv: fields.cvv,
    },
  };
}

/** Entries that the form shows again after a mistake: nothing of a card, in whichever field it was typed. */
export function typedBefore(form: Readonly<Record<string, unknown>>): Partial<Record<CheckoutField, string>> {
  const typed: Partial<Record<CheckoutField, string>> = {};
  const strays = fieldsWithStrayCards(form);
  for (const field of CHECKOUT_FIELDS) {
    const value = form[field];
    if (typeof value === 'string' && !SECRET_FIELDS.has(field) && !strays.has(field)) typed[field] = value;
  }
  return typed;
}

const ADDRESS: readonly CheckoutField[] = ['address1', 'address2', 'city', 'state', 'country'];
const MOBILE: readonly CheckoutField[] = ['mobile'];
/** `00` is dialled for the `+` of a telephone number with its country code. */
const DIALLED_PLUS = /(?<=^\s*\(?)00(?=[1-9])/;
/**
 * A number may run on from one field of a row to the next. Telephone and postal code stand alone: beside a house
 * number, they look like a card's too often.
 */
const ROWS: readonly (readonly CheckoutField[])[] = [
  ['first_name', 'last_name', 'email'],
  MOBILE,
  ADDRESS,
  ['zip'],
  ['card_name'],
];
/**
 * Eleven digits that stand alone in an entry of an address: a CPF behind a house number is as long as a card's number.
 */
const CPF_ALONE = /(?<=^|[,;] ?)\d{11}(?= ?(?:[,;]|$))/g;

/**
 * The fields of a checkout form in which a card's number was typed, or a part of it. That of the card itself is not
 * asked.
 *
 * @param form as it was posted
 */
export function fieldsWithStrayCards(form: Readonly<Record<string, unknown>>): Set<CheckoutField> {
  return new Set(ROWS.flatMap((row) => strayInRow(row, form)));
}

function strayInRow(row: readonly CheckoutField[], form: Readonly<Record<string, unknown>>): CheckoutField[] {
  const spans: { field: CheckoutField; start: number; end: number }[] = [];
  let text = '';
  for (const field of row) {
    const value = form[field];
    if (typeof value !== 'string') continue;
    spans.push({ field, start: text.length, end: text.length + value.length });
    // A break within a field parts nothing.
    const asLine = value.replaceAll('\n', ' ');
    if (row === ADDRESS) text += asLine.replace(CPF_ALONE, crossOutCpf);
    else if (row === MOBILE) text += asLine.replace(DIALLED_PLUS, ' +');
    else text += asLine;
    text += '\n';
  }
  const found = findCardNumbers(text);
  return spans
    .filter((span) => found.some(({ start, end }) => start < span.end && end > span.start))
    .map(({ field }) => field);
}
