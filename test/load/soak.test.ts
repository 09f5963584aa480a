import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeSoak, soak } from '../support/soak.ts';

const SECONDS = 30;
/** So that every pool is as large as it gets, and each kind of answer has been given. */
const WARM_UP_SECONDS = 15;
/** Connections come and go with the load: to the database, and of clients. */
const DESCRIPTORS_MAY_DIFFER = 25;
const MEGABYTES_MAY_GROW = 150;

test('under load, descriptors and series stay as they are, and memory within bounds', async (t) => {
  const result = await soak(t, SECONDS, WARM_UP_SECONDS);
  for (const line of describeSoak(result, SECONDS)) t.diagnostic(line);

  assert.deepEqual(result.complaints, []);
  assert.ok(result.orders > 0);
  for (const { process, what, first, last, least, most } of result.courses) {
    if (what === 'series') assert.equal(last, first, `series of ${process}`);
    if (what === 'descriptors')
      assert.ok(most - least <= DESCRIPTORS_MAY_DIFFER, `descriptors of ${process}: ${least} to ${most}`);
    if (what === 'memory')
      assert.ok(last - first <= MEGABYTES_MAY_GROW, `memory of ${process}: ${first} to ${last} MB`);
  }
});
