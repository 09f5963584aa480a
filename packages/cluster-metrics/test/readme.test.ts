import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../../../test/support/wait.ts';
import { parseExposition } from '../src/testing/index.ts';
import { type RunningExample, startExample } from './support/example.ts';
import { readProtobuf } from './support/protobuf.ts';
import { installTarball, link, packageIn, run } from './support/tarball.ts';

/*
 * Each example of the README runs as a user runs it: from the tarball, in a folder outside the repository.
 */

const root = fileURLToPath(new URL('../../../', import.meta.url));
const { scratch, folder, files, bytes } = installTarball();
after(() => rmSync(scratch, { recursive: true, force: true, maxRetries: 10 }));
link(folder, 'koa');
const readme = readFileSync(join(packageIn(folder), 'README.md'), 'utf8');

const [
  example = '',
  koaExample = '',
  nativeExample = '',
  startsExample = '',
  exemplarExample = '',
  testingExample = '',
] = codeIn('js');
const [commonJsExample = ''] = codeIn('cjs');
const [typeScriptExample = ''] = codeIn('ts');

/** The README's blocks of code in this language. */
function codeIn(language: string): string[] {
  return readme.match(new RegExp(`(?<=\`\`\`${language}\n)[\\s\\S]*?(?=\`\`\`)`, 'g')) ?? [];
}

/** The first example, with a Koa application and the middleware of the second as the worker's server. */
const exampleWithKoa = `import Koa from 'koa';
${example.replace('  Counter,', '  Histogram,').replace(
  / {2}const requests = [\s\S]*(?=\.listen\(8080\))/,
  () => `
  const labelNames = ['method', 'status_code'];
  const duration = new Histogram({ name: 'duration_seconds', help: 'Seconds', labelNames, registers: [registry] });
  const app = new Koa();
  ${koaExample}
  app.use((ctx) => {
    ctx.body = 'hello';
  })`,
)}`;

/** @returns the path of a new file beside the installed package */
function write(code: string, extension: string): string {
  const file = join(folder, `example-${randomUUID()}.${extension}`);
  writeFileSync(file, code);
  return file;
}

/** Runs an example of the README on other ports. */
async function start(t: TestContext, code: string): Promise<RunningExample> {
  const file = write(code.replace('9464', 'process.env.METRICS_PORT').replace('8080', 'process.env.PORT'), 'mjs');
  return startExample(t, file, { NODE_OPTIONS: '' });
}

test('the example runs with four workers and loses nothing when one is killed', async (t) => {
  const { scrape, request, pids } = await start(t, example);
  await until('four workers', async () => (await scrape()).has('cluster_metrics_worker_age_seconds{worker="4"}'));
  await until('an answer', request);
  for (let i = 1; i < 20; i++) assert.equal(await request(), 'hello');
  assert.equal((await scrape()).of('requests_total'), 20);
  assert.ok((await scrape()).of('process_resident_memory_bytes') > 0);

  const [victim] = pids();
  process.kill(victim as number, 'SIGKILL');
  await until('its replacement', () => pids().length === 4 && !pids().includes(victim as number));
  assert.equal((await scrape()).of('requests_total'), 20);
  assert.equal(await request(), 'hello');
  assert.equal((await scrape()).of('requests_total'), 21);
});

test('the middleware for Koa counts an answered request even if its worker is killed', async (t) => {
  const { scrape, request, pids } = await start(t, exampleWithKoa);
  const counted = async () => (await scrape()).get('duration_seconds_count{method="GET",status_code="200"}');
  await until('an answer', request);
  for (let i = 1; i < 10; i++) assert.equal(await request(), 'hello');
  for (const pid of pids()) process.kill(pid, 'SIGKILL');
  assert.equal(await counted(), 10);
});

test("the README's first example is short", () => {
  const lines = example
    .replaceAll(/^import [\s\S]*?;$/gm, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  assert.ok(lines.length <= 22, `${lines.length} lines`);
});

test('the example of the testing helper runs beside the first one', async (t) => {
  const { request, port, metricsPort } = await start(t, example);
  await until('an answer', request);
  const file = write(testingExample.replace('9464', String(metricsPort)).replace('8080', String(port)), 'mjs');
  run(folder, process.execPath, [file]);
});

test('the example of native histograms shows both of them in protobuf', () => {
  const code = `import { ClusterRegistry, createStoreDirectory, Histogram, Summary, WorkerRegistry } from '@techcommerce/cluster-metrics';
const registry = new WorkerRegistry();
${nativeExample}
duration.observe({ route: '/' }, 0.1);
queries.observe(0.2);
const stores = createStoreDirectory();
const page = new ClusterRegistry({ directory: stores.path, registers: [registry] });
process.stdout.write(await page.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE }));
page.close();
stores.remove();
`;
  const families = readProtobuf(execFileSync(process.execPath, [write(code, 'mjs')], { cwd: folder }));
  for (const name of ['page_seconds', 'query_histogram_seconds']) {
    assert.deepEqual(families.get(name)?.metric[0]?.histogram?.positiveDelta, [1], name);
  }
});

test('the example of start timestamps shows them in OpenMetrics', () => {
  const code = `import { ClusterRegistry, Counter, createMetricsHandler, createStoreDirectory, WorkerRegistry } from '@techcommerce/cluster-metrics';
import { createServer } from 'node:http';
import { once } from 'node:events';
const worker = new WorkerRegistry();
new Counter({ name: 'acts_total', help: 'Acts', registers: [worker] }).inc();
const stores = createStoreDirectory();
const registry = new ClusterRegistry({ directory: stores.path, registers: [worker] });
${startsExample}
const server = createServer(handler).listen(0, '127.0.0.1');
await once(server, 'listening');
const headers = { accept: ClusterRegistry.OPENMETRICS_CONTENT_TYPE, connection: 'close' };
const response = await fetch(\`http://127.0.0.1:\${server.address().port}\`, { headers });
process.stdout.write(await response.text());
server.close();
registry.close();
stores.remove();
`;
  const began = Date.now();
  const page = parseExposition(execFileSync(process.execPath, [write(code, 'mjs')], { cwd: folder }).toString());
  const created = page.of('acts_created') * 1000;
  assert.ok(created >= began - 1 && created <= Date.now(), `${created} is not between ${began} and now`);
});

test('the exemplar example shows the newest exemplar of its bucket', () => {
  const code = `import { ClusterRegistry, createStoreDirectory, Histogram, WorkerRegistry } from '@techcommerce/cluster-metrics';
const registry = new WorkerRegistry();
${exemplarExample}
const stores = createStoreDirectory();
const page = new ClusterRegistry({ directory: stores.path, registers: [registry] });
process.stdout.write(await page.clusterMetrics({ contentType: ClusterRegistry.OPENMETRICS_CONTENT_TYPE }));
page.close();
stores.remove();
`;
  const page = parseExposition(execFileSync(process.execPath, [write(code, 'mjs')], { cwd: folder }).toString());
  const exemplars = page.samples.flatMap(({ series, exemplar }) => (exemplar ? [[series, exemplar.labels]] : []));
  assert.deepEqual(exemplars, [['page_seconds_bucket{le="0.25"}', { request_id: '5f1d' }]]);
});

test('the tarball is small, and has the built package, its documentation and nothing else', () => {
  assert.ok(bytes < 100_000, `${bytes} bytes`);
  const unexpected = files.filter(
    (path) => !/^(dist|docs|examples)\/|^(README|CHANGELOG)\.md$|^(LICENSE|package\.json)$/.test(path),
  );
  assert.deepEqual(unexpected, []);
  for (const path of ['dist/index.js', 'dist/index.d.ts', 'CHANGELOG.md', 'LICENSE', 'docs/design.md']) {
    assert.ok(files.includes(path), path);
  }
});

test('each link of the README leads to a file of the tarball or to a heading', () => {
  for (const page of ['README.md', 'docs/design.md', 'CHANGELOG.md']) {
    const text = readFileSync(join(packageIn(folder), page), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', heading] = target.split('#');
      const file = path === '' ? join(packageIn(folder), page) : join(packageIn(folder), dirname(page), path);
      assert.ok(existsSync(file), `${page}: ${target}`);
      if (heading !== undefined) assert.ok(headingsOf(file).includes(heading), `${page}: ${target}`);
    }
  }
});

/** As GitHub names them in links. */
function headingsOf(file: string): string[] {
  const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm);
  return Array.from(headings, ([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

const canRequireModules = (process.features as { require_module?: boolean }).require_module === true;
const tooOld = !canRequireModules && 'this Node.js is too old';

test('the example in CommonJS prints a page', { skip: tooOld }, () => {
  assert.match(run(folder, process.execPath, [write(commonJsExample, 'cjs')]), /^jobs_total 1$/m);
});

test('the default import has the names, also in a CommonJS module', { skip: tooOld }, () => {
  const isSame = "console.log(typeof Counter === 'function' && client.Counter === Counter)";
  const name = "'@techcommerce/cluster-metrics'";
  const imported = write(`import client, { Counter } from ${name};\n${isSame};`, 'mjs');
  assert.equal(run(folder, process.execPath, [imported]).trim(), 'true');
  // As TypeScript compiles an import of the default: with __esModule, it takes the property, and else the whole.
  const required = write(
    `const loaded = require(${name});\nconst { Counter } = loaded;\n` +
      `const client = loaded.__esModule ? loaded.default : loaded;\n${isSame};`,
    'cjs',
  );
  assert.equal(run(folder, process.execPath, [required]).trim(), 'true');
});

for (const [name, options] of Object.entries({
  nodenext: ['--module', 'nodenext'],
  node16: ['--module', 'node16'],
  bundler: ['--module', 'esnext', '--moduleResolution', 'bundler'],
})) {
  test(`the example in TypeScript compiles with ${name}`, () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node'];
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--target', 'es2022'];
    const file = write(typeScriptExample, 'ts');
    run(folder, process.execPath, [tsc, '--noEmit', ...strict, ...types, ...options, file]);
  });
}

test('without prom-client and its successor, the error says what to install', () => {
  const alone = join(scratch, 'alone');
  cpSync(packageIn(folder), packageIn(alone), { recursive: true });
  const code = "import('@techcommerce/cluster-metrics').catch((error) => console.log(error.message))";
  assert.match(
    run(alone, process.execPath, ['-e', code]),
    /needs prom-client beside it: run "npm install prom-client@15"/,
  );
});
