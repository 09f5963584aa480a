import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fieldsWithStrayCards } from '../../src/shop/checkout/stray-cards.ts';
import { findCardNumbers, holdsCardNumber, maskCardNumbers } from '../../src/shop/payment/card-numbers.ts';
import { brazilianForm, seededRandom } from '../support/brazilian-forms.ts';
import { cardNumber, digitsOf, spelling } from '../support/card-numbers.ts';
import { CUSTOMER } from '../support/visitor.ts';

/** The long suite looks at a million. */
const FORMS = 10_000;

test("every issuer's numbers are found, in any digits, with anything between them", () => {
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

test('where words stand between the digits, the groups of a card are found', () => {
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

test('real addresses, telephones and documents are no card numbers', () => {
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

test('a CPF behind a house number is none', () => {
  const form = { ...CUSTOMER, address1: 'Rua das Flores, 42', address2: '65327586553' };
  assert.ok(holdsCardNumber(`${form.address1}\n${form.address2}`));
  assert.deepEqual(fieldsWithStrayCards(form), new Set());
});

test('few of the forms that Brazilians fill in are taken for a card', () => {
  const random = seededRandom(2024);
  const refused: string[] = [];
  for (let i = 0; i < FORMS; i++) {
    const form = brazilianForm(random);
    if (fieldsWithStrayCards(form).size > 0) refused.push(JSON.stringify(form));
  }
  assert.ok(refused.length <= FORMS / 5_000, refused.join('\n'));
});
