import { crossOutCpf, findCardNumbers } from '../payment/card-numbers.ts';
import type { CheckoutField } from '../views.ts';

const ADDRESS: readonly CheckoutField[] = ['address1', 'address2', 'city', 'state', 'country'];
const MOBILE: readonly CheckoutField[] = ['mobile'];
/** What is dialled for the `+` of a telephone number with its country code. */
const DIALLED_PLUS = /(?<=^\s*\(?)00(?=[1-9])/;
/**
 * A number may run on from one field of a row to the next. Telephone and postal code stand alone: beside a house number,
 * they look like a card's too often.
 */
const ROWS: readonly (readonly CheckoutField[])[] = [
  ['first_name', 'last_name', 'email'],
  MOBILE,
  ADDRESS,
  ['zip'],
  ['card_name'],
];
/** Eleven digits that stand alone in an entry of an address: a CPF behind a house number is as long as a card's number. */
const CPF_ALONE = /(?<=^|[,;] ?)\d{11}(?= ?(?:[,;]|$))/g;

/**
 * The fields of a checkout form in which a card's number was typed, or a part of it. That of the card itself is not asked.
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
