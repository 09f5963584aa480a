import { test } from 'node:test';
import { proveSeriesAreBounded } from './boundedness.ts';

test('nothing that clients send becomes a series', (t) => proveSeriesAreBounded(t, { requests: 1_500 }));
