import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { projectRoot } from '../../src/paths.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const readmes = { 'README.md': read('README.md'), 'README.pt-BR.md': read('README.pt-BR.md') };
const [english, portuguese] = Object.values(readmes) as [string, string];

const SEVEN_METRICS = [
  'shop_cart_additions_total',
  'shop_errors_total',
  'shop_active_cart_sessions',
  'shop_cpu_usage_ratio',
  'shop_db_connections',
  'http_request_duration_seconds',
  'shop_db_operation_duration_seconds',
];

/** The levels of the headings in order, without lines of code blocks. */
function headingLevels(readme: string): number[] {
  const prose = readme.replace(/^```.*?^```$/gms, '');
  return [...prose.matchAll(/^(#+) /gm)].map(([, marks = '']) => marks.length);
}

function commands(readme: string): string[] {
  return [...readme.matchAll(/^```bash\n(.*?)^```$/gms)].map(([, block = '']) => block);
}

/** Cells of all tables, row by row. */
function tableRows(readme: string): string[][] {
  return [...readme.matchAll(/^\| (.+) \|$/gm)].map(([, row = '']) => row.split(' | '));
}

/** The code spans of a cell, in order. */
function codeOf(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

/** Variable → default, from the table of the environment. Null where the default is described in words. */
function environmentTable(readme: string): Map<string, string | null> {
  const rows = tableRows(readme).filter(([name = '']) => /^`[A-Z_]+`$/.test(name));
  return new Map(
    rows.map(([name = '', value = '']) => [codeOf(name)[0] ?? '', /^`([^`]+)`$/.exec(value)?.[1] ?? null]),
  );
}

test('both languages have the same headings, commands and code in the same order', () => {
  assert.ok(headingLevels(english).length > 10);
  assert.deepEqual(headingLevels(portuguese), headingLevels(english));
  assert.ok(commands(english).length > 5);
  assert.deepEqual(commands(portuguese), commands(english));
  assert.deepEqual(tableRows(portuguese).map(codeInRow), tableRows(english).map(codeInRow));
});

function codeInRow(row: string[]): string[][] {
  return row.map(codeOf);
}

test('the tables of the environment hold exactly the variables that the configuration reads', () => {
  const schema = /z\.object\(\{\n(.*?)^\}\);/ms.exec(read('src/config.ts'))?.[1] ?? '';
  const variables = [...schema.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name = '']) => name).sort();
  assert.ok(variables.length > 10);
  for (const [name, readme] of Object.entries(readmes)) {
    assert.deepEqual([...environmentTable(readme).keys()].sort(), variables, name);
  }
});

test('the defaults in the tables are those of the configuration', () => {
  for (const readme of Object.values(readmes)) {
    const defaults = [...environmentTable(readme)].filter((row): row is [string, string] => row[1] !== null);
    assert.ok(defaults.length > 10);
    const parts = defaults.filter(([name]) => name.startsWith('DB_') && name !== 'DB_POOL_MAX');
    const others = defaults.filter((row) => !parts.includes(row));

    assert.deepEqual(readConfig(Object.fromEntries(others)), readConfig({}));
    const host = { DB_HOST: 'database' };
    assert.deepEqual(readConfig({ ...host, ...Object.fromEntries(parts) }), readConfig(host));
  }
});

test('the seven metrics are named with a way to see each of them change', () => {
  for (const readme of Object.values(readmes)) {
    for (const metric of SEVEN_METRICS) {
      const row = tableRows(readme).find(([, name = '']) => name === `\`${metric}\``);
      assert.ok(row, `${metric} has no row`);
      assert.match(row[3] ?? '', /\]\(#.+\)/, `${metric} has no link to its commands`);
      assert.ok(
        commands(readme).some((block) => block.includes(metric)),
        `no command shows ${metric}`,
      );
    }
  }
});

test('links inside the project have targets', () => {
  let checked = 0;
  for (const page of markdownPages()) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (target.startsWith('http')) continue;
      const [file = '', anchor] = target.split('#');
      const linked = file === '' ? page : join(dirname(page), file);
      assert.ok(existsSync(join(projectRoot, linked)), `${page}: ${target} is missing`);
      if (anchor !== undefined) assert.ok(anchorsOf(linked).includes(anchor), `${page}: no heading for ${target}`);
      checked++;
    }
  }
  assert.ok(checked > 20);
});

function markdownPages(): string[] {
  const inDocs = readdirSync(join(projectRoot, 'docs'), { recursive: true, encoding: 'utf8' });
  return [...readdirSync(projectRoot), ...inDocs.map((name) => join('docs', name))].filter((name) =>
    name.endsWith('.md'),
  );
}

function anchorsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, text = '']) => anchorOf(text));
}

/** How GitHub makes an anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- ]/gu, '')
    .replaceAll(' ', '-');
}

test('every curl command of the pages keeps the cookie, so that it is one visitor', () => {
  for (const readme of Object.values(readmes)) {
    const requests = commands(readme)
      .flatMap((block) => block.split('\n'))
      .filter((line) => /\bcurl\b.*localhost:5000/.test(line));
    assert.ok(requests.length > 5);
    for (const line of requests) assert.match(line, / -b visitor /, line);
  }
});
