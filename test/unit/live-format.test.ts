import assert from 'node:assert/strict';
import { test } from 'node:test';
import { axisSteps, FORMATS, formatNumber, LANGUAGES } from '../../src/ops/live/format.ts';

/** Not on an axis: cents, ages in words, three digits, differences. */
const CHARTED = FORMATS.filter((format) => !['brl', 'age', 'preciseSeconds', 'points'].includes(format));

test('the labels of an axis differ, however small its values are', () => {
  for (const format of CHARTED) {
    for (const language of LANGUAGES) {
      const steps = axisSteps(format, language);
      assert.ok((steps[0] as number) <= 1 && (steps.at(-1) as number) >= 1e12, format);
      for (const step of steps) {
        const labels = [0, 1, 2, 3, 4, 5].map((times) => formatNumber(times * step, format, language));
        assert.equal(new Set(labels).size, labels.length, `${format}, ${step}: ${labels.join(' ')}`);
      }
    }
  }
});
