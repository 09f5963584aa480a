/*
 * `npm run bench:soak -- [minutes]` (default 30): keeps the shop busy and prints the course of memory, descriptors and
 * series of each process, with the slope of the best-fitting line.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeSoak, soak } from '../test/support/soak.ts';

const minutes = Number(process.argv[2] ?? 30);
const WARM_UP_SECONDS = 60;

test(`${minutes} minutes of load`, async (t) => {
  const seconds = minutes * 60;
  const result = await soak(t, seconds, WARM_UP_SECONDS);
  for (const line of describeSoak(result, seconds)) console.log(line);
  assert.deepEqual(result.complaints, []);
});
