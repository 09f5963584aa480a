import { test } from 'node:test';
import { proveSeriesAreBounded } from './boundedness.ts';

/** By hand: `HOSTILE_REQUESTS=10000`. */
const REQUESTS = Number(process.env.HOSTILE_REQUESTS ?? 1_500);

test('requests with any content add no series', (t) => proveSeriesAreBounded(t, { requests: REQUESTS }));
