import fc from 'fast-check';
import { passesLuhn } from '../../src/shop/payment/card.ts';

/** What each issuer's numbers begin with, and how long they are. */
const ISSUERS: Record<string, { prefixes: string[]; lengths: number[] }> = {
  visa: { prefixes: ['4'], lengths: [13, 16, 19] },
  mastercard: { prefixes: ['51', '55', '2221', '2229', '223', '26', '271', '2720'], lengths: [16] },
  amex: { prefixes: ['34', '37'], lengths: [15] },
  diners: { prefixes: ['300', '305', '36', '38', '39'], lengths: [14] },
  discover: { prefixes: ['6011', '644', '649', '65', '622126'], lengths: [16, 19] },
  jcb: { prefixes: ['3528', '3589'], lengths: [16, 19] },
  unionpay: { prefixes: ['62', '8171'], lengths: [16, 17, 18, 19] },
  maestro: {
    prefixes: ['5018', '5020', '5038', '5893', '6304', '6759', '6763'],
    lengths: [12, 13, 14, 15, 16, 18, 19],
  },
  elo: { prefixes: ['401178', '438935', '504175', '506699', '509000', '627780', '636368', '650031'], lengths: [16] },
  hipercard: { prefixes: ['606282', '384100', '384140', '384160'], lengths: [16, 19] },
};

/** A valid number of one of the issuers. */
export const cardNumber = fc
  .constantFrom(...Object.values(ISSUERS))
  .chain(({ prefixes, lengths }) => fc.tuple(fc.constantFrom(...prefixes), fc.constantFrom(...lengths)))
  .chain(([prefix, length]) => {
    const rest = length - prefix.length - 1;
    return digitsOf(rest, rest).map((digits) => withCheckDigit(prefix + digits));
  });

export function digitsOf(minLength: number, maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...'0123456789'), minLength, maxLength });
}

function withCheckDigit(digits: string): string {
  return Array.from('0123456789', (digit) => digits + digit).find(passesLuhn) as string;
}

/** The zeros of some of Unicode's decimal digits: ASCII twice, full width, Arabic, Bengali, Thai, bold, Adlam. */
const ZEROS = ['0', '0', '０', '٠', '০', '๐', '𝟎', '𞥐'];
const MARKS = [' ', '  ', '\u00a0', '\u200b', '-', '–', '.', '/', '_', '*', ',', ' - ', ', ', ' x ', '·', '🙂'];

/** Ways to write a number: digits of one script, marks between some of them. */
export const spelling = fc
  .record({
    zero: fc.constantFrom(...ZEROS),
    marks: fc.array(fc.oneof({ weight: 2, arbitrary: fc.constant('') }, fc.constantFrom(...MARKS)), {
      minLength: 18,
      maxLength: 18,
    }),
  })
  .map(({ zero, marks }) => (digits: string) => {
    const code = zero.codePointAt(0) as number;
    return Array.from(
      digits,
      (digit, i) => String.fromCodePoint(code + Number(digit)) + (i < digits.length - 1 ? marks[i] : ''),
    ).join('');
  });
