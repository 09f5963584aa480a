import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { quicken } from '../support/quick-rules.ts';

test('all durations are divided, names and numbers stay', () => {
  const rule =
    'expr: a:ratio5m[1h:1m] > 14.4 * 0.001 and rate(b[5m] offset 1h) * 3600 >= 10\n  for: 1m\n  interval: 15s\n';
  assert.equal(
    quicken(rule, 60),
    'expr: a:ratio5m[60000ms:1000ms] > 14.4 * 0.001 and rate(b[5000ms] offset 60000ms) * 3600 >= 10\n  for: 1000ms\n  interval: 250ms\n',
  );
});

test('a factor of 1 changes no duration of the shipped rules, and none is overlooked', () => {
  for (const file of ['alerts', 'recording']) {
    const text = readFileSync(join(projectRoot, `monitoring/prometheus/rules/${file}.yml`), 'utf8');
    const code = text.replace(/#.*$/gm, '').replace(/(summary|description|record|runbook_url):(.|\n {12})*/g, '');
    const inMilliseconds = quicken(code, 1).replace(/\d+ms/g, '');
    assert.doesNotMatch(inMilliseconds.replace(/[a-z_]+:[a-z_:]+\w*|window: \w+/g, ''), /\b\d+[smhd]\b/);
  }
});
