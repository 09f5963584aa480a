import { test } from 'node:test';
import { proveNothingIsLost } from '../program/laws/survival.ts';

// A place whose workers die young is filled later each time, so that many places make for a short test.
/** By hand: `DEATHS=150`. */
const DEATHS = Number(process.env.DEATHS ?? 40);

test(`${DEATHS} deaths: no total goes back and nothing is lost or counted twice`, async (t) => {
  await proveNothingIsLost(t, { workers: 8, clients: 8, deaths: DEATHS, reloadAfter: Math.ceil(DEATHS / 2) });
});
