import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const runbook = read('docs/operations.md');
const pages = { 'docs/operations.md': runbook, 'docs/security.md': read('docs/security.md') };

const LONGEST_CELL = 200;

/** All TypeScript under a folder as one text, with the quotes of its strings as they are printed. */
function sourceIn(folder: string): string {
  return readdirSync(join(projectRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => read(join(folder, path)).replaceAll("\\'", "'"))
    .join('\n');
}

const source = ['src', 'packages/cluster-metrics/src'].map(sourceIn).join('\n');

function codesIn(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
}

/** The registry names its own metrics by the prefix that the primary gives it. */
function isRegistered(metric: string): boolean {
  return source.includes(`'${metric}'`) || source.includes(metric.replace('shop_metrics_', '}'));
}

test('the code still writes the log lines that the runbook quotes', () => {
  const bullets = [...runbook.matchAll(/^ *- Log[ :,].*(?:\n +(?!- ).*)*/gm)].map(([bullet]) => bullet);
  const warnings = [...runbook.matchAll(/\bwarns[^`.]*`[^`\n]+`/g)].map(([sentence]) => sentence);
  const lines = codesIn([...bullets, ...warnings].join('\n')).filter((code) => code.includes(' '));
  assert.ok(lines.length > 15);
  for (const line of lines) assert.ok(source.includes(line), `no log line: ${line}`);
});

test('every metric that a page names exists', () => {
  let checked = 0;
  for (const [page, text] of Object.entries(pages)) {
    for (const code of codesIn(text)) {
      const [metric] = /^shop_\w+\b(?!\*)/.exec(code) ?? [];
      if (metric === undefined) continue;
      assert.ok(isRegistered(metric), `${page}: no metric ${metric}`);
      checked++;
    }
  }
  assert.ok(checked > 20);
});

test('the cells of tables are short', () => {
  let checked = 0;
  for (const [page, text] of Object.entries(pages)) {
    for (const [, row = ''] of text.matchAll(/^\| (.+) \|$/gm)) {
      for (const cell of row.split(' | ')) assert.ok(cell.length <= LONGEST_CELL, `${page}: ${cell}`);
      checked++;
    }
  }
  assert.ok(checked > 20);
});
