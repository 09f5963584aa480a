import { test } from 'node:test';
import { proveSeriesAreBounded } from './boundedness.ts';

test('no request adds a series, whatever the client sends', (t) => proveSeriesAreBounded(t, { requests: 1_500 }));
