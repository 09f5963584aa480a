import { test } from 'node:test';
import { proveNothingIsLost } from '../laws/survival.ts';

test('200 deaths: no total goes back and nothing is lost or counted twice', async (t) => {
  await proveNothingIsLost(t, { workers: 4, clients: 8, deaths: 200, reloadAfter: 100 });
});
