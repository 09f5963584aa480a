import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fieldsWithStrayCards } from '../../src/shop/checkout/form.ts';
import { passesLuhn } from '../../src/shop/payment/card.ts';
import { findCardNumbers, holdsCardNumber, maskCardNumbers } from '../../src/shop/payment/card-numbers.ts';
import { CUSTOMER } from '../support/visitor.ts';
import { brazilianForm, seededRandom } from './brazilian-forms.ts';

/** `test/long/card-numbers.test.ts` tries many more. */
const FORMS = 10_000;

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
const cardNumber = fc
  .constantFrom(...Object.values(ISSUERS))
  .chain(({ prefixes, lengths }) => fc.tuple(fc.constantFrom(...prefixes), fc.constantFrom(...lengths)))
  .chain(([prefix, length]) => {
    const rest = length - prefix.length - 1;
    return digitsOf(rest, rest).map((digits) => withCheckDigit(prefix + digits));
  });

function digitsOf(minLength: number, maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...'0123456789'), minLength, maxLength });
}

function withCheckDigit(digits: string): string {
  return Array.from('0123456789', (digit) => digits + digit).find(passesLuhn) as string;
}

/** Zeros of Unicode's decimal digits: ASCII (twice, so that it is frequent), full width, Arabic, Bengali, Thai, bold, Adlam. */
const ZEROS = ['0', '0', '０', '٠', '০', '๐', '𝟎', '𞥐'];
const MARKS = [' ', '  ', '\u00a0', '\u200b', '-', '–', '.', '/', '_', '*', ',', ' - ', ', ', ' x ', '·', '🙂'];

/** Writes a number with the digits of one script and with marks between some of them. */
const spelling = fc
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

test("numbers of every issuer are found in any script's digits, with any marks between them", () => {
  fc.assert(
    fc.property(cardNumber, spelling, (number, spell) => {
      const text = `cartão ${spell(number)} válido`;
      assert.deepEqual(
        findCardNumbers(text).map(({ start, end }) => text.slice(start, end)),
        [spell(number)],
      );
    }),
    { numRuns: 5_000 },
  );
});

test('a number is found with any digits beside it, also when they touch it', () => {
  fc.assert(
    fc.property(
      cardNumber,
      digitsOf(0, 6),
      digitsOf(0, 9),
      fc.constantFrom('', ' ', '/', ' 12/30 '),
      fc.constantFrom('', ' ', '-'),
      fc.constantFrom('', ' ', '-', '. '),
      (number, before, after, gap, mark, groups) => {
        const text = before + mark + (number.match(/\d{1,4}/g) ?? []).join(groups) + gap + after;
        const digits = maskCardNumbers(text, 'x').replace(/\D/g, '');
        assert.ok(!digits.includes(number) && digits.length < (before + after).length + 8, text);
      },
    ),
    { numRuns: 5_000 },
  );
});

test('a number is found that runs on from one field to the next', () => {
  const neighbours = fc.constantFrom(
    ['first_name', 'last_name'] as const,
    ['address1', 'address2'] as const,
    ['address2', 'city'] as const,
  );
  fc.assert(
    fc.property(cardNumber, fc.nat(), neighbours, fc.constantFrom('', ' ', '-', '.'), (number, at, fields, mark) => {
      const cut = 1 + (at % (number.length - 1));
      const parts = [number.slice(0, cut), number.slice(cut)].map(
        (part) => part.match(/\d{1,4}/g)?.join(mark) ?? '',
      ) as [string, string];
      const form = { ...CUSTOMER, [fields[0]]: `${CUSTOMER[fields[0]]} ${parts[0]}`, [fields[1]]: `${parts[1]} fim` };
      const found = fieldsWithStrayCards(form);
      assert.ok(found.has(fields[0]) && found.has(fields[1]), JSON.stringify(form));
    }),
    { numRuns: 5_000 },
  );
});

test('the groups of a card number are found when words stand between them', () => {
  for (const text of [
    'cartão 4242 e depois 4242 mais 4242 fim 4242',
    '3782 vírgula 822463 vírgula 10005',
    'quatro 4 dois 2 quatro 4 dois 2 nove 4 2 4 2 4 2 4 2 4 2 4 2',
  ]) {
    assert.ok(holdsCardNumber(text), text);
  }
});

test('a card that is written like a telephone number, a CPF, a CEP or a list is found', () => {
  for (const text of [
    '(37) 8282-2463 10005',
    '(37)82822463 10005',
    '(42) 2222-2222 222',
    '(42) 4242-4242 424242',
    'cpf 42424242424 24242',
    'CPF: 424.242.424-24 24242',
    'CEP 42424-242 42424242',
    '4242,4242,4242,4242123',
    '4242;4242;4242;42429',
    '2131777777777773',
    '400\u200b00 90000-0000 x 03',
  ]) {
    assert.ok(holdsCardNumber(text), text);
  }
});

test('real addresses, telephone numbers and documents are not taken for card numbers', () => {
  for (const text of [
    'entre os números 1000 2000 3000 4001',
    'Rua 25 de Março, 1203 apto 45 bloco 4',
    '+55 61 91234-5678',
    '5511912345601',
    '+49 1512 3456788',
    'CPF 653.275.865-53, casa 2',
    '12.345.678/0001-95',
    '4242424242424241',
    '0000000000000000',
    'FS-424242ABCD424242',
  ]) {
    assert.deepEqual(findCardNumbers(text), [], text);
  }
});

test('a CPF after a house number is not taken for a card number', () => {
  const form = { ...CUSTOMER, address1: 'Rua das Flores, 42', address2: '65327586553' };
  assert.ok(holdsCardNumber(`${form.address1}\n${form.address2}`));
  assert.deepEqual(fieldsWithStrayCards(form), new Set());
});

test('few Brazilian forms are taken for a card', () => {
  const random = seededRandom(2024);
  const refused: string[] = [];
  for (let i = 0; i < FORMS; i++) {
    const form = brazilianForm(random);
    if (fieldsWithStrayCards(form).size > 0) refused.push(JSON.stringify(form));
  }
  assert.ok(refused.length <= FORMS / 5_000, refused.join('\n'));
});
