import { test } from 'node:test';
import { proveNothingIsLost } from '../program/laws/survival.ts';

// A place whose workers die young is filled later each time, so that many places make a short test.
/**
 * Each of the five ways to die comes five times, two or more of them after the reload. From there on 11 workers die:
 * a descriptor that each left in the primary would be noticed (`proveNothingLeaks` allows 8). By hand: `DEATHS=150`.
 */
const DEATHS = Number(process.env.DEATHS ?? 25);

test(`${DEATHS} deaths decrease no total and lose or double no count`, async (t) => {
  await proveNothingIsLost(t, { workers: 8, clients: 8, deaths: DEATHS, reloadAfter: Math.ceil(DEATHS / 2) });
});
