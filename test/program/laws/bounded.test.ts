import { test } from 'node:test';
import { proveSeriesAreBounded } from './boundedness.ts';

test('requests with any content add no series', (t) => proveSeriesAreBounded(t, { requests: 1_500 }));
