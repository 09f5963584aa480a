import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FAULT_NAMES } from '../../src/faults/names.ts';
import { projectRoot } from '../../src/paths.ts';
import { ANSWERS, SHOPPERS, SIGNALS } from '../support/answer-key.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const COURSES = ['docs/game-days.md', 'docs/game-days.pt-BR.md'];
/** GitHub loads all pictures of a page at once. */
const MOST_BYTES = 1_500_000;

test('no two faults look alike', () => {
  assert.deepEqual(
    ANSWERS.map(({ fault }) => fault),
    FAULT_NAMES,
  );
  for (const looks of [
    ANSWERS.map(({ lamp, rule, blame }) => [lamp, rule, blame].join(' ')),
    ANSWERS.map(({ moves }) => [...moves].sort().join(' ')),
  ]) {
    assert.equal(new Set(looks).size, FAULT_NAMES.length, looks.join('\n'));
  }
  for (const { fault, moves, mayMove, alerts, mayAlert } of ANSWERS) {
    assert.ok(moves.length > 0, fault);
    assert.deepEqual(
      mayMove.filter((signal) => moves.includes(signal)),
      [],
    );
    assert.deepEqual(
      mayAlert.filter((alert) => alerts.includes(alert)),
      [],
    );
  }
});

test('the answer key names metrics and alerts that exist', () => {
  const source = ['src/instrument', 'packages/cluster-metrics/src/cluster'].flatMap((folder) =>
    readdirSync(join(projectRoot, folder)).map((file) => read(join(folder, file))),
  );
  // The library's own metrics have the shop's prefix.
  const isThere = (name: string) => source.some((text) => text.includes(name.replace(/^shop_metrics_/, '')));
  const rules = read('monitoring/prometheus/rules/alerts.yml');
  for (const expression of Object.values(SIGNALS)) {
    for (const [name] of expression.matchAll(/\bshop_\w+/g)) {
      assert.ok(isThere(name.replace(/_(?:sum|count)$/, '')), name);
    }
  }
  for (const alert of ANSWERS.flatMap(({ alerts, mayAlert }) => [...alerts, ...mayAlert])) {
    assert.ok(rules.includes(`alert: ${alert}\n`), alert);
  }
});

test('both courses have each fault: a step with its picture, an answer, and the row of the key', () => {
  for (const path of COURSES) {
    const course = read(path);
    const language = path.includes('pt-BR') ? 'pt-BR' : 'en';
    assert.ok(course.includes(`--shoppers ${SHOPPERS.shoppers} --think ${SHOPPERS.thinkSeconds} `), path);
    assert.equal(course.match(/^### (?:Step|Passo) \d+$/gm)?.length, FAULT_NAMES.length);
    for (const { fault, rule, blame, alerts, mayAlert } of ANSWERS) {
      const picture = `images/faults/${fault}.${language}.webp`;
      assert.ok(course.includes(`](${picture})`), picture);
      assert.ok(existsSync(join(projectRoot, 'docs', picture)), picture);
      assert.match(course, new RegExp(`^\\d+\\. \`${fault}\` – `, 'm'), `${path}: the answer of ${fault}`);
      const row = course.split('\n').find((line) => line.startsWith(`| \`${fault}\` |`)) ?? '';
      for (const word of [rule, blame, ...alerts, ...mayAlert])
        assert.ok(row.includes(word), `${path}: ${word} in ${row}`);
      assert.match(row, / \d+ s \|$/, `${path}: how long it takes to see ${fault}`);
    }
  }
  const folder = join(projectRoot, 'docs/images/faults');
  const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
});
