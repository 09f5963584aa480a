import { z } from 'zod';
import type { Card } from '../../payments/gateway.ts';
import { EMPTY, line } from '../input.ts';
import { parseExpiry, passesLuhn } from '../payment/card.ts';
import { crossOutCpf, findCardNumbers } from '../payment/card-numbers.ts';
import { CHECKOUT_FIELDS, type CheckoutField } from '../views.ts';
import { isBrazil, isState, placeOfCep, STATES } from './cep.ts';

/** The buyer, and the address of the parcel. */
export interface Customer {
  firstName: string;
  lastName: string;
  email: string;
  mobile: string;
  address1: string;
  /** `S/N` for a house without a number; null from a client that writes it into `address1`. */
  houseNumber: string | null;
  address2: string;
  /** `bairro`; null from a client that doesn't send it. */
  district: string | null;
  city: string;
  state: string;
  country: string;
  zip: string;
}

export type FieldErrors = Partial<Record<CheckoutField, string>>;

/** The way to pay that the shopper has chosen. */
export type ChosenPayment =
  | {
      method: 'card';
      card: Card;
      /** Into which the card's issuer splits the total: 1 to 10. */
      installments: number;
    }
  | { method: 'pix'; installments: 1 };

export type ParsedCheckout =
  | { ok: true; customer: Customer; payment: ChosenPayment }
  | { ok: false; errors: FieldErrors };

/** Fields that are forgotten with the request: not even the form shown again has them. */
const SECRET_FIELDS: ReadonlySet<string> = new Set(['card_number', 'expiry_date', 'cvv']);

const STRAY_CARD = 'Isso parece o número de um cartão. Digite-o só no campo do cartão.';

const required = (max: number) => line(max).min(1, EMPTY);

const customerSchema = z
  .object({
    first_name: required(100),
    last_name: required(100),
    email: required(254).pipe(z.email('Digite um e-mail como nome@exemplo.com.br.')),
    mobile: line(30).regex(
      /^\+?(?:[ ().-]*\d){8,15}[ ().-]*$/,
      'Digite o celular com DDD, como (11)\u00a091234\u20115678.',
    ),
    address1: required(255),
    number: line(20).optional(),
    no_number: line(10).optional(),
    address2: line(255).default(''),
    district: line(100).optional(),
    city: required(100),
    state: required(60),
    country: required(60).default('Brasil'),
    zip: required(20),
  })
  .refine(({ country, zip }) => !isBrazil(country) || /^\d{5}-?\d{3}$/.test(zip), {
    path: ['zip'],
    error: 'Digite o CEP com 8 números, como 01310\u2011100.',
  })
  // Other countries have other codes; all are letters and digits (https://en.wikipedia.org/wiki/Postal_code).
  .refine(({ country, zip }) => isBrazil(country) || /^[\p{L}\d][\p{L}\d -]{1,14}$/u.test(zip), {
    path: ['zip'],
    error: 'Digite o código postal do endereço.',
  })
  .superRefine((fields, { addIssue }) => {
    if (!usesOwnFields(fields)) return;
    const { number, no_number, district, state, country, zip } = fields;
    const wrong = (field: CheckoutField, message: string) => addIssue({ code: 'custom', path: [field], message });
    if (!number && !no_number) wrong('number', 'Digite o número, ou marque “Sem número”.');
    if (district === '') wrong('district', EMPTY);
    if (!isBrazil(country)) return;
    const place = placeOfCep(zip);
    if (!place) wrong('zip', 'Esse CEP não existe. Confira os números.');
    else if (!isState(state, place.state)) {
      wrong('zip', `Esse CEP é de ${STATES[place.state].name}. Confira o CEP e o estado.`);
    }
  });

const cardSchema = z.object({
  card_name: required(100),
  card_number: required(40)
    .transform((text) => text.replace(/[ -]/g, ''))
    .refine((digits) => /^\d{13,19}$/.test(digits) && passesLuhn(digits), 'Esse número de cartão não é válido.'),
  expiry_date: required(12)
    .transform(parseExpiry)
    .refine((expires) => expires !== null, 'Digite a validade como MM/AA.')
    .refine((expires) => expires === null || expires.getTime() > Date.now(), 'Esse cartão está vencido.'),
  cvv: required(10).regex(/^\d{3,4}$/, 'O código tem 3 ou 4 números.'),
  installments: line(10)
    .regex(/^([1-9]|10)$/, 'Escolha uma das opções de parcelamento.')
    .default('1')
    .transform(Number),
});

const methodSchema = z.object({
  payment_method: z.enum(['card', 'pix'], { error: 'Escolha Pix ou cartão.' }).default('card'),
});

/**
 * Whether a form has the fields that the shop's own form adds to the original's. Other clients send the original's
 * fields alone; for them, nothing more is asked and nothing is filled in.
 */
function usesOwnFields({ number, no_number, district }: Readonly<Record<string, unknown>>): boolean {
  return number !== undefined || no_number !== undefined || district !== undefined;
}

/** The form with the state and the city that its postal code tells, where they were left empty. */
function withPlace(form: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { zip, state, city, country } = form;
  const isAbroad = typeof country === 'string' && !isBrazil(country.trim());
  const place = usesOwnFields(form) && !isAbroad && typeof zip === 'string' ? placeOfCep(zip.trim()) : null;
  if (!place) return form;
  const isEmpty = (value: unknown) => value === undefined || (typeof value === 'string' && value.trim() === '');
  return {
    ...form,
    ...(isEmpty(state) && { state: place.state }),
    ...(isEmpty(city) && place.city !== null && { city: place.city }),
  };
}

/** Reads a posted checkout form; every wrong field gets one message. The fields of a card count only where one is used. */
export function parseCheckout(form: Readonly<Record<string, unknown>>): ParsedCheckout {
  const customer = customerSchema.safeParse(withPlace(form));
  const method = methodSchema.safeParse(form);
  const card = method.data?.payment_method === 'pix' ? null : cardSchema.safeParse(form);
  const strays = fieldsWithStrayCards(form);
  if (!customer.success || !method.success || card?.success === false || strays.size > 0) {
    const errors: FieldErrors = {};
    for (const field of strays) errors[field] = STRAY_CARD;
    for (const { error } of [customer, method, card ?? {}]) {
      for (const { path, message } of error?.issues ?? []) errors[path[0] as CheckoutField] ??= message;
    }
    return { ok: false, errors };
  }
  const fields = customer.data;
  return {
    ok: true,
    customer: {
      firstName: fields.first_name,
      lastName: fields.last_name,
      email: fields.email,
      mobile: fields.mobile,
      address1: fields.address1,
      houseNumber: fields.number || (fields.no_number ? 'S/N' : null),
      address2: fields.address2,
      district: fields.district ?? null,
      city: fields.city,
      state: fields.state,
      country: fields.country,
      zip: fields.zip,
    },
    payment: card
      ? {
          method: 'card',
          card: {
            holder: card.data.card_name,
            number: card.data.card_number,
            expires: card.data.expiry_date as Date,
            cvv: card.data.cvv,
          },
          installments: card.data.installments,
        }
      : { method: 'pix', installments: 1 },
  };
}

/**
 * Entries that the form shows again after a mistake, with what the postal code tells: nothing of a card, also
 * where it was typed into another field.
 */
export function typedBefore(form: Readonly<Record<string, unknown>>): Partial<Record<CheckoutField, string>> {
  const typed: Partial<Record<CheckoutField, string>> = {};
  const strays = fieldsWithStrayCards(form);
  const filled = withPlace(form);
  for (const field of CHECKOUT_FIELDS) {
    const value = filled[field];
    if (typeof value === 'string' && !SECRET_FIELDS.has(field) && !strays.has(field)) typed[field] = value;
  }
  return typed;
}

const ADDRESS: readonly CheckoutField[] = ['address1', 'number', 'address2', 'district', 'city', 'state', 'country'];
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
