import { test } from 'node:test';
import { proveNothingIsLost } from './survival.ts';

test('no total goes back and nothing is lost or counted twice, however the workers die', async (t) => {
  await proveNothingIsLost(t, { workers: 2, clients: 4, deaths: 6, reloadAfter: 3 });
});
