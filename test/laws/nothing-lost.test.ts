import { test } from 'node:test';
import { proveNothingIsLost } from './survival.ts';

test('no total goes back and nothing is lost or counted twice, however the workers die', async (t) => {
  await proveNothingIsLost(t, { workers: 3, clients: 6, deaths: 10, reloadAfter: 5 });
});
