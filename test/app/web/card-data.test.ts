import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startShop } from '../../support/shop.ts';
import { CUSTOMER, DECLINED_CARD } from '../../support/visitor.ts';

test("a card's number, expiry and CVV are never written", async (t) => {
  const card = { card_number: '5105105105105100', expiry_date: '07/41', cvv: '7351' };
  const shop = await startShop(t);
  const shopper = shop.visitor();
  let answers = '';
  const submit = async (fields: Record<string, string>) => {
    await shopper.post('/add_to_cart/1', { quantity: 1 });
    const { text, headers } = await shopper.post('/checkout', { ...CUSTOMER, ...fields });
    for (const line of headers.getSetCookie()) {
      answers += `${line}\n${Buffer.from(line.split('=', 2)[1] ?? '', 'base64').toString('latin1')}\n`;
    }
    answers += text;
  };

  await submit({ ...card, email: 'wrong' });
  await submit({ ...card, card_number: DECLINED_CARD });
  await submit({ ...card, card_number: '5105-1051 0510-5101' });
  await submit(card);
  answers += (await shopper.get('/order_confirmation/nothing')).text;
  await shop.knex.raw('alter table orders add constraint refuse check (false) not valid');
  await submit(card);

  const tables: string[] = await shop
    .knex('information_schema.tables')
    .where('table_schema', 'public')
    .pluck('table_name');
  assert.ok(tables.includes('orders'));
  assert.equal((await shop.knex('orders')).length, 1);
  let stored = '';
  for (const table of tables) stored += JSON.stringify(await shop.knex(table));

  const places = { stored, log: shop.log(), answers, metrics: (await shop.metrics()).text };
  for (const [place, text] of Object.entries(places)) {
    const digits = text.replace(/[ -]/g, '');
    for (const secret of ['5105105105105100', '5105105105105101', '07/41', '"7351"', '=7351']) {
      assert.ok(!digits.includes(secret), `${secret} is in the ${place}`);
    }
    if (place !== 'answers') assert.ok(!digits.includes(DECLINED_CARD), `the declined card is in the ${place}`);
    assert.doesNotMatch(text, /cvv=|card_number=/);
  }
});
