import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const decisions = readdirSync(join(projectRoot, 'docs/decisions')).filter((name) => /^\d/.test(name));

test('every path that a page names exists', () => {
  const pages = readdirSync(join(projectRoot, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join('docs', path));
  assert.ok(pages.length > 10);
  let checked = 0;
  for (const page of [...pages, 'CONTRIBUTING.md']) {
    const codes = Array.from(read(page).matchAll(/`([^`\n]+)`/g), ([, code = '']) => code);
    const paths = codes.flatMap(
      (code) => code.match(/(?<!\bdist\/)\b(?:src|test|packages|monitoring|docs|deploy)\/[\w./-]*\w\b/g) ?? [],
    );
    for (const path of paths) assert.ok(existsSync(join(projectRoot, path)), `${page}: no ${path}`);
    checked += paths.length;
  }
  assert.ok(checked > 50);
});

test('decisions are numbered without a gap, each with its state, and listed by their titles', () => {
  const titles = decisions.map((file, i) => {
    const [, number, title] = /^# (\d{4}): (.+)$/m.exec(read(join('docs/decisions', file))) ?? [];
    assert.equal(Number(number), i + 1, file);
    assert.ok(file.startsWith(`${number}-`), file);
    assert.match(read(join('docs/decisions', file)), /^State: (accepted|replaced by \[\d{4}\])/m, file);
    return [file, title];
  });
  const rows = read('docs/decisions/README.md').matchAll(/^\| \[\d{4}\]\((.+)\) \| (.+) \|$/gm);
  assert.ok(titles.length > 10);
  assert.deepEqual(
    Array.from(rows, ([, file, title]) => [file, title]),
    titles,
  );
});

test('the changelog begins with unreleased changes, and its newest version is that of package.json', () => {
  const headings = Array.from(read('CHANGELOG.md').matchAll(/^## (.+)$/gm), ([, heading = '']) => heading);
  assert.equal(headings[0], 'Unreleased');
  const { version } = JSON.parse(read('package.json'));
  assert.match(headings[1] ?? '', new RegExp(`^${version.replaceAll('.', '\\.')} – \\d{4}-\\d{2}-\\d{2}$`));
});

test('the changelog names only metrics, variables and scripts that exist', () => {
  const codes = Array.from(read('CHANGELOG.md').matchAll(/`([^`\n]+)`/g), ([, code = '']) => code);
  const source = readdirSync(join(projectRoot, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => read(join('src', path)))
    .join('\n');
  const { scripts } = JSON.parse(read('package.json'));
  let checked = 0;
  for (const code of codes) {
    const [name] = /^(?:shop_\w+|[A-Z]+(?:_[A-Z]+)+)$/.exec(code) ?? [];
    const [, script] = /^npm run ([\w:]+)$/.exec(code) ?? [];
    if (name !== undefined) assert.match(source, new RegExp(`\\b${name}\\b`));
    if (script !== undefined) assert.ok(script in scripts, script);
    if (name !== undefined || script !== undefined) checked++;
  }
  assert.ok(checked > 10);
});

test('each test file belongs to exactly one suite', () => {
  const { scripts } = JSON.parse(read('package.json'));
  const globs = ['test', 'test:browser', 'test:long', 'test:fleet', 'test:load'].flatMap((suite) =>
    (scripts[suite] as string).split(' ').filter((word) => word.endsWith('.test.ts')),
  );
  const files = ['test', 'packages/cluster-metrics/test'].flatMap((folder) =>
    readdirSync(join(projectRoot, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .map((path) => join(folder, path)),
  );
  assert.ok(files.length > 100);
  for (const file of files) assert.equal(globs.filter((glob) => matches(file, glob)).length, 1, file);
});

/** Whether the shell expands the glob, whose only special character is `*`, to this path among others. */
function matches(path: string, glob: string): boolean {
  return new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`).test(path);
}
