import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDatabaseFailure } from '../../src/db/index.ts';
import { deferred } from '../../src/promises.ts';
import { createCheckoutPlaces } from '../../src/shop/checkout/places.ts';
import { ShopError } from '../../src/shop/errors.ts';
import { until } from '../support/wait.ts';

const LATE = 60_000;
const inALongTime = () => performance.now() + LATE;

test('a checkout whose turn for a place does not come is refused, and the next one takes what is left', async () => {
  const checkouts = createCheckoutPlaces({ places: 1, poolMax: 3, lineMs: 20 });
  const first = await checkouts.enter();
  await assert.rejects(checkouts.enter(), (error) => error instanceof ShopError && error.type === 'overload');
  first.leave();
  const second = await checkouts.enter();
  assert.ok(second.lineEndsMs > first.lineEndsMs);
});

test('checkouts that have paid use the database before those that have not', async () => {
  const checkouts = createCheckoutPlaces({ places: 5, poolMax: 3, lineMs: LATE });
  const order: string[] = [];
  const note = (name: string) => async () => {
    order.push(name);
  };
  const held = deferred();
  const holding = checkouts.commit(() => held.promise);
  const waiting = [
    checkouts.reserve(inALongTime(), note('first to reserve')),
    checkouts.reserve(inALongTime(), note('second to reserve')),
    checkouts.commit(note('paid')),
  ];
  held.resolve();
  await Promise.all([holding, ...waiting]);
  assert.deepEqual(order, ['paid', 'first to reserve', 'second to reserve']);
});

test('statements that may wait for long leave half of the turns to others', async () => {
  const checkouts = createCheckoutPlaces({ places: 9, poolMax: 6, lineMs: LATE });
  const held = deferred();
  let begun = 0;
  const holding = [1, 2, 3].map(() =>
    checkouts.commitPatiently(() => {
      begun += 1;
      return held.promise;
    }),
  );
  await until('two have begun', () => begun === 2);
  assert.equal(await checkouts.commit(async () => 'stored'), 'stored');
  assert.equal(begun, 2);
  held.resolve();
  await Promise.all(holding);
  assert.equal(begun, 3);
});

test('a statement whose turn does not come is not sent, as if there were no connection', async () => {
  const checkouts = createCheckoutPlaces({ places: 5, poolMax: 3, lineMs: 20 });
  const held = deferred();
  const holding = checkouts.commit(() => held.promise);
  let sent = 0;
  const send = async () => {
    sent += 1;
  };
  await assert.rejects(checkouts.reserve(performance.now(), send), isDatabaseFailure);
  await assert.rejects(checkouts.commit(send), isDatabaseFailure);
  held.resolve();
  await holding;
  assert.equal(sent, 0);
  await checkouts.reserve(inALongTime(), send);
  assert.equal(sent, 1);
});

test('a statement that fails ends its turn', async () => {
  const checkouts = createCheckoutPlaces({ places: 5, poolMax: 3, lineMs: LATE });
  const oops = new Error('oops');
  await assert.rejects(
    checkouts.commit(() => Promise.reject(oops)),
    oops,
  );
  assert.equal(await checkouts.commit(async () => 'next'), 'next');
});
