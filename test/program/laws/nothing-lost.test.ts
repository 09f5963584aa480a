import { test } from 'node:test';
import { proveNothingIsLost } from './survival.ts';

/** By hand: `DEATHS=150`. Many of them leave traces that a few do not, such as a descriptor for each in the primary. */
const { DEATHS } = process.env;

test('no total decreases and no count is lost or doubled after every kind of death', async (t) => {
  if (DEATHS === undefined) {
    await proveNothingIsLost(t, { workers: 2, clients: 4, deaths: 6, reloadAfter: 3 });
  } else {
    // A place whose workers die young is filled later each time, so that many places make a short test.
    const deaths = Number(DEATHS);
    await proveNothingIsLost(t, { workers: 8, clients: 8, deaths, reloadAfter: Math.ceil(deaths / 2) });
  }
});
