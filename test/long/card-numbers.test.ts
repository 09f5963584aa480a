import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldsWithStrayCards } from '../../src/shop/checkout/form.ts';
import { brazilianForm, seededRandom } from '../unit/brazilian-forms.ts';

/** By hand: `CARD_FORMS=1000000`. */
const FORMS = Number(process.env.CARD_FORMS ?? 50_000);

test(`fewer than one in 10,000 of ${FORMS} Brazilian forms is taken for a card`, () => {
  const random = seededRandom(1);
  let refused = 0;
  for (let i = 0; i < FORMS; i++) if (fieldsWithStrayCards(brazilianForm(random)).size > 0) refused++;
  console.log(`${refused} of ${FORMS} forms are refused`);
  assert.ok(refused < FORMS / 10_000, `${refused} of ${FORMS}`);
});
