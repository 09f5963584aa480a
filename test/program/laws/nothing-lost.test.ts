import { test } from 'node:test';
import { proveNothingIsLost } from './survival.ts';

test('no total decreases and no count is lost or doubled after every kind of death', async (t) => {
  await proveNothingIsLost(t, { workers: 2, clients: 4, deaths: 6, reloadAfter: 3 });
});
