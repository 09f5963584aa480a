import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOutageLog } from '../../src/log.ts';
import { recordLog } from '../support/log.ts';

test('an outage is told once with its end, and outages that follow each other once a minute', (t) => {
  let nowSeconds = 0;
  t.mock.method(performance, 'now', () => nowSeconds * 1000);
  const { log, lines } = recordLog();
  const outages = createOutageLog(log);
  const told = () => lines.splice(0).map((line) => JSON.parse(line).msg);
  const failed = () => outages.failed(new Error('gone'), 'failed');
  const worked = () => outages.worked('works again');

  worked();
  assert.deepEqual(told(), []);
  failed();
  failed();
  assert.deepEqual(told(), ['failed']);
  worked();
  worked();
  assert.deepEqual(told(), ['works again']);

  for (nowSeconds = 1; nowSeconds < 60; nowSeconds++) {
    failed();
    worked();
  }
  assert.deepEqual(told(), [], 'neither further warnings nor their ends');
  nowSeconds = 59;
  failed();
  nowSeconds = 61;
  failed();
  assert.deepEqual(told(), ['failed'], 'an outage that began in the minute and lasts');
  nowSeconds = 600;
  failed();
  assert.deepEqual(told(), []);
  worked();
  assert.deepEqual(told(), ['works again']);
});
