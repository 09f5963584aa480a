import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  installmentsOffer,
  installmentsText,
  leastTotalCents,
  MAX_INSTALLMENTS,
  mostInstallments,
  splitTotal,
} from '../../src/shop/money.ts';

const cents = fc.integer({ min: 1, max: 999_999_999_999 });
const count = fc.integer({ min: 1, max: MAX_INSTALLMENTS });

test('instalments add up to the total, the first ones are a cent higher at most', () => {
  fc.assert(
    fc.property(cents, count, (total, installments) => {
      const amounts = splitTotal(total, installments);
      assert.equal(amounts.length, installments);
      assert.equal(
        amounts.reduce((sum, amount) => sum + amount),
        total,
      );
      assert.deepEqual(
        amounts,
        amounts.toSorted((a, b) => b - a),
      );
      assert.ok((amounts[0] as number) - (amounts.at(-1) as number) <= 1);
    }),
  );
});

test('a total is paid in as many instalments as are worth ten reais, and in ten at most', () => {
  fc.assert(
    fc.property(cents, count, (total, installments) => {
      assert.equal(total >= leastTotalCents(installments), installments <= mostInstallments(total));
    }),
  );
  assert.deepEqual([1, 999, 1_999, 2_000, 9_999, 10_000, 189_000].map(mostInstallments), [1, 1, 1, 2, 9, 10, 10]);
});

test('the text of instalments shows each amount', () => {
  assert.equal(installmentsText(25_990, 1), '1x de R$\u00a0259,90');
  assert.equal(installmentsText(25_990, 10), '10x de R$\u00a025,99 sem juros');
  assert.equal(
    installmentsText(10_000, 3),
    '3x sem juros: 1\u00a0de\u00a0R$\u00a033,34 + 2\u00a0de\u00a0R$\u00a033,33',
  );
  assert.equal(installmentsText(8_990, 8), '8x sem juros: 6\u00a0de\u00a0R$\u00a011,24 + 2\u00a0de\u00a0R$\u00a011,23');
});

test("a product's offer shows the highest of the most instalments", () => {
  assert.equal(installmentsOffer(24_990), '10x de R$\u00a024,99 sem juros');
  assert.equal(installmentsOffer(8_990), '8x de R$\u00a011,24 sem juros');
  assert.equal(installmentsOffer(1_999), null);
});
