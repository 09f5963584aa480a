import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATES } from '../../src/shop/checkout/cep.ts';
import { estimateDelivery } from '../../src/shop/delivery.ts';

const day = (date: Date) => date.toISOString().slice(0, 10);

/** The days of an order to São Paulo (2 to 4 business days). */
function arrivesFor(orderedAt: string): string[] {
  const delivery = estimateDelivery({ createdAt: new Date(orderedAt), zip: '01310-100', country: 'Brasil' });
  assert.ok(delivery);
  assert.deepEqual(delivery.days, [2, 4]);
  return [day(delivery.from), day(delivery.to)];
}

test('weekends are no business days', () => {
  assert.deepEqual(arrivesFor('2026-11-23T12:00:00Z'), ['2026-11-25', '2026-11-27'], 'ordered on a Monday');
  assert.deepEqual(arrivesFor('2026-11-27T12:00:00Z'), ['2026-12-01', '2026-12-03'], 'on a Friday');
  for (const weekend of ['2026-11-28T12:00:00Z', '2026-11-29T12:00:00Z']) {
    assert.deepEqual(arrivesFor(weekend), ['2026-12-01', '2026-12-03']);
  }
});

test("the day of the order is that of the shop's time zone", () => {
  assert.deepEqual(arrivesFor('2026-11-24T02:59:59Z'), ['2026-11-25', '2026-11-27'], 'still Monday in São Paulo');
  assert.deepEqual(arrivesFor('2026-11-24T03:00:00Z'), ['2026-11-26', '2026-11-30']);
});

test('each state has its days, and an address elsewhere has none', () => {
  const createdAt = new Date();
  for (const { capitalCeps } of Object.values(STATES)) {
    const zip = `${String(capitalCeps[0]?.[0]).padStart(5, '0')}-000`;
    const { days, from, to } = estimateDelivery({ createdAt, zip, country: 'Brasil' }) ?? assert.fail(zip);
    assert.ok(days[0] > 0 && days[0] < days[1]);
    assert.ok(createdAt < from && from < to);
  }
  assert.equal(estimateDelivery({ createdAt, zip: '8320000', country: 'Chile' }), null);
  assert.equal(estimateDelivery({ createdAt, zip: '00100-000', country: 'Brasil' }), null);
});
