import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../../../test/support/wait.ts';
import { ClusterRegistry } from '../src/index.ts';
import { type RunningExample, startExample } from './support/example.ts';
import { type Histogram, readBuckets, readProtobuf } from './support/protobuf.ts';

const examples = fileURLToPath(new URL('../examples/', import.meta.url));
const MAX_LINES = 50;

async function dies({ request, pids }: RunningExample, path: string): Promise<void> {
  const victim = Number(/from (\d+)\n$/.exec(await request(`${path}?die`))?.[1]);
  await until('its replacement', () => pids().length === 4 && !pids().includes(victim));
}

for (const { name, path, counter, labels } of [
  { name: 'node-http', path: '/', counter: 'requests_total', labels: {} },
  {
    name: 'koa',
    path: '/',
    counter: 'http_request_duration_seconds_count',
    labels: { method: 'GET', status_code: 200 },
  },
  {
    name: 'express',
    path: '/hello/you',
    counter: 'http_requests_total',
    labels: { route: '/hello/:name', status_code: 200 },
  },
  {
    name: 'fastify',
    path: '/hello/you',
    counter: 'http_requests_total',
    labels: { route: '/hello/:name', status_code: 200 },
  },
  { name: 'native-histograms', path: '/', counter: 'page_seconds_count', labels: {} },
]) {
  test(`${name}: what a client has an answer for is counted, though its worker is killed in the same turn`, async (t) => {
    const example = await startExample(t, join(examples, name, 'server.mjs'));
    const { scrape, request, pids } = example;
    await until('four workers', () => pids().length === 4);
    await until('an answer', () => request(path));
    for (let i = 1; i < 20; i++) assert.match(await request(path), /^hello .*from \d+\n$/);
    const before = await scrape();
    assert.equal(before.of(counter, labels), 20);
    assert.ok(before.of('process_resident_memory_bytes') > 0);

    for (let i = 0; i < 5; i++) await dies(example, path);
    const after = await scrape();
    assert.equal(after.of(counter, labels), 25);
    assert.deepEqual(after.decreases(before), []);
  });
}

test('native-histograms: buckets, start timestamps and exemplars of all workers', async (t) => {
  const { scrape, scrapeProtobuf, request, pids } = await startExample(
    t,
    join(examples, 'native-histograms/server.mjs'),
  );
  await until('four workers', () => pids().length === 4);
  await until('an answer', request);
  for (let i = 1; i < 20; i++) await request();

  const openMetrics = await until('an exemplar', async () => {
    const page = await scrape(ClusterRegistry.OPENMETRICS_CONTENT_TYPE);
    return page.samples.some(({ exemplar }) => exemplar) && page;
  });
  assert.ok(openMetrics.of('page_seconds_created') <= Date.now() / 1000);
  const histogram = readProtobuf(await scrapeProtobuf()).get('page_seconds')?.metric[0]?.histogram as Histogram;
  const native = readBuckets(histogram.positiveSpan, histogram.positiveDelta);
  const inNative = [...native.values()].reduce((sum, count) => sum + count, histogram.zeroCount ?? 0);
  assert.deepEqual([histogram.sampleCount, histogram.schema, inNative], [20, 6, 20]);
  assert.ok(histogram.createdTimestamp);
  const ids = histogram.bucket?.flatMap(({ exemplar }) => exemplar?.label.map(({ name }) => name) ?? []);
  assert.equal(ids?.[0], 'request_id');
});

for (const name of ['express', 'fastify']) {
  test(`${name}: a page that does not exist is counted without its address`, async (t) => {
    const { scrape, request } = await startExample(t, join(examples, name, 'server.mjs'));
    await until('an answer', () => request('/hello/you'));
    await assert.rejects(request('/nowhere'), /404/);
    const page = await scrape();
    assert.equal(page.of('http_requests_total', { status_code: 404, route: 'unmatched' }), 1);
    assert.equal(page.of('http_requests_total'), 2);
  });
}

test('child-process: children that are killed have done what they have done', async (t) => {
  const { scrape, pids } = await startExample(t, join(examples, 'child-process/parent.mjs'), { JOBS: '300' });
  // One of them may do all jobs before the other has started.
  await until('both children run', () => pids().length === 2);
  await until('all jobs are done', async () => (await scrape()).get('jobs_total') === 300);
  const before = await scrape();
  const killed = pids();
  for (const pid of killed) process.kill(pid, 'SIGKILL');
  await until(
    'other workers take their places',
    () => pids().length === 2 && !pids().some((pid) => killed.includes(pid)),
  );
  const after = await scrape();
  assert.equal(after.of('jobs_total'), 300);
  assert.deepEqual(after.decreases(before), []);
});

test('worker-threads: threads that end leave their counts and nothing else', async (t) => {
  const { scrape, request, pids } = await startExample(t, join(examples, 'worker-threads/main.mjs'));
  await until('an answer', request);
  const first = await scrape();
  for (let i = 1; i < 10; i++) assert.equal(await request(), '500000500000\n');
  const last = await scrape();
  assert.equal(last.of('sums_total'), 10);
  assert.deepEqual(
    last.samples.map(({ series }) => series),
    first.samples.map(({ series }) => series),
  );
  assert.ok(!last.has('threads'));
  assert.deepEqual(pids(), []);
});

test(`each example is a folder of ${MAX_LINES} lines at most`, () => {
  for (const name of readdirSync(examples)) {
    const folder = join(examples, name);
    const files = readdirSync(folder).filter((file) => statSync(join(folder, file)).isFile());
    const lines = files.reduce((sum, file) => sum + readFileSync(join(folder, file), 'utf8').split('\n').length - 1, 0);
    assert.ok(lines <= MAX_LINES, `${name} has ${lines} lines`);
  }
});
