import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Histogram, Registry, Summary } from 'prom-client';
import { ExpositionError, parseExposition } from '../src/testing/index.ts';

const TEXT = `# HELP requests_total Requests
# TYPE requests_total counter
requests_total{method="GET",code="200"} 3
requests_total{method="GET",code="500"} 1
requests_total{method="POST",code="200"} 2 1700000000000

# A comment
# TYPE depth gauge
depth -1.5e-3
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 1
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 0.75
took_seconds_count 2
# TYPE wait_seconds summary
wait_seconds{quantile="0.5"} NaN
wait_seconds_sum 0
wait_seconds_count 0
without_type{path="a \\" b \\\\ c \\n d"} +Inf
`;

const OPEN_METRICS = `# TYPE requests counter
# HELP requests Requests
requests_total{method="GET"} 3 # {trace_id="abc"} 0.5 1700000000.5
requests_created{method="GET"} 1700000000.25
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{le="1.0"} 1 # {trace_id="abc"} 0.5
took_seconds_bucket{le="+Inf"} 2
took_seconds_count 2
took_seconds_sum 7.5
# TYPE build info
build_info{version="1.0"} 1
# EOF
`;

test('of() sums the samples with these labels; has() and get() tell whether there are any', () => {
  const page = parseExposition(TEXT);
  assert.equal(page.of('requests_total'), 6);
  assert.equal(page.of('requests_total', { code: 200 }), 5);
  assert.equal(page.of('requests_total{code="200"}'), 5);
  assert.equal(page.of('requests_total{code="200"}', { method: 'GET' }), 3);
  assert.equal(page.of('requests_total{code="200",host=""}'), 5, 'an empty label is one that is not there');
  assert.equal(page.of('depth'), -0.0015);
  assert.equal(page.of('wait_seconds{quantile="0.5"}'), Number.NaN);
  assert.equal(page.of('without_type', { path: 'a " b \\ c \n d' }), Number.POSITIVE_INFINITY);
  assert.equal(page.get('requests_total{method="PUT"}'), undefined);
  assert.equal(page.has('requests_total{method="POST"}'), true);
  assert.equal(page.has('requests_total{constructor="x"}'), false);
  assert.equal(page.has('constructor'), false);
});

test('a missing sample is an error that names its neighbours', () => {
  const page = parseExposition('a{x="1"} 1\na{x="2"} 2\n');
  assert.throws(() => page.of('a', { x: 3 }), { message: 'There is no sample a{x="3"}: there are a{x="1"}, a{x="2"}' });
  assert.throws(() => page.of('b'), { message: 'There is no sample b: nothing has this name' });
  assert.throws(() => page.of('a{x=1}'), { name: 'TypeError', message: 'unreadable labels: a{x=1}' });
});

test('OpenMetrics is read with its exemplars, timestamps and units', () => {
  const page = parseExposition(OPEN_METRICS);
  assert.equal(page.of('requests_total'), 3);
  assert.equal(page.of('took_seconds_bucket{le="+Inf"}'), 2);
  assert.deepEqual(
    page.samples.map(({ type }) => type),
    ['counter', 'counter', 'histogram', 'histogram', 'histogram', 'histogram', 'info'],
  );
  assert.deepEqual(
    page.samples.flatMap(({ exemplar }) => (exemplar === undefined ? [] : [exemplar])),
    [
      { labels: { trace_id: 'abc' }, value: 0.5, timestamp: 1700000000.5 },
      { labels: { trace_id: 'abc' }, value: 0.5, timestamp: undefined },
    ],
  );
});

test('the labels of an exemplar are as long as their code points', () => {
  const page = parseExposition(`# TYPE a counter\na_total 1 # {x="${'🛒'.repeat(127)}"} 1\n# EOF\n`);
  assert.equal(page.samples[0]?.exemplar?.labels.x?.length, 2 * 127);
});

test('since tells the growth, and decreases the totals that fell or vanished', () => {
  const before = parseExposition(TEXT);
  const after = parseExposition(
    TEXT.replace(
      'requests_total{method="GET",code="200"} 3',
      'requests_total{method="GET",code="200"} 7\nrequests_total{code="404"} 1',
    )
      .replace('requests_total{method="POST",code="200"} 2 1700000000000\n', '')
      .replace('depth -1.5e-3', 'depth -2')
      .replace('took_seconds_sum 0.75', 'took_seconds_sum 0.5')
      .replace('wait_seconds_sum 0', 'wait_seconds_sum NaN')
      .replace('wait_seconds{quantile="0.5"} NaN\n', ''),
  );
  assert.equal(after.since(before).of('requests_total{method="GET"}'), 4);
  assert.equal(after.since(before).of('requests_total{code="404"}'), 1);
  assert.throws(() => after.since(before).of('requests_total{method="POST"}'), /There is no sample/);
  assert.deepEqual(after.decreases(before), [
    'requests_total{code="200",method="POST"} was 2, then it was missing',
    'took_seconds_sum was 0.75, then 0.5',
    'wait_seconds_sum was 0, then NaN',
  ]);
  assert.deepEqual(before.decreases(before), []);
  const nan = parseExposition('# TYPE a_total counter\na_total NaN\n');
  assert.deepEqual(nan.decreases(nan), []);
});

test('the same series has the same text for any order of its labels', () => {
  const [one, other] = ['a{x="1",y="\\"2\\\\"} 1\n', 'a{ y="\\"2\\\\", x="1", } 1\n'].map((text) =>
    parseExposition(text),
  );
  assert.equal(one?.samples[0]?.series, 'a{x="1",y="\\"2\\\\"}');
  assert.equal(other?.samples[0]?.series, one?.samples[0]?.series);
});

test("prom-client's pages are read in both formats", async () => {
  for (const type of [Registry.PROMETHEUS_CONTENT_TYPE, Registry.OPENMETRICS_CONTENT_TYPE]) {
    const registry = new Registry<typeof type>();
    registry.setContentType(type);
    const registers = [registry as unknown as Registry];
    new Counter({ name: 'acts_total', help: 'Acts "in"\nlines \\', labelNames: ['kind'], registers }).inc({
      kind: '"\n\\',
    });
    new Histogram({ name: 'size_bytes', help: 'Sizes', labelNames: ['route'], registers }).observe({ route: '/' }, 3);
    new Summary({ name: 'wait_seconds', help: 'Waits', registers }).observe(3);
    const page = parseExposition(await registry.metrics(), type);
    assert.equal(page.of('acts_total', { kind: '"\n\\' }), 1);
    assert.equal(page.of('size_bytes_count'), 1);
  }
});

for (const [problem, line, text] of [
  ['the line feed at the end is missing', 2, 'a 1\nb 2'],
  ['this is no sample', 2, 'a 1\n2b 2\n'],
  ['this is no sample', 1, 'a\n'],
  ['this is no sample', 1, 'a 1 2 3\n'],
  ['this is no sample', 1, 'a{x="1" 2\n'],
  ['"one" is no number', 1, 'a one\n'],
  ['"0x10" is no number', 1, 'a 0x10\n'],
  ['unreadable labels', 1, 'a{x=1} 2\n'],
  ['unreadable labels', 1, 'a{1x="1"} 2\n'],
  ['unreadable labels', 1, 'a{x="\\t"} 2\n'],
  ['the label x twice', 1, 'a{x="1",x="2"} 2\n'],
  ['the label __name__, which is the name itself', 1, 'a{__name__="b"} 2\n'],
  ['this series is on the page already', 2, 'a{x="1",y="2"} 1\na{y="2",x="1"} 1\n'],
  ['the lines of a stand in two places', 3, 'a{x="1"} 1\nb 1\na{x="2"} 1\n'],
  ['the lines of a stand in two places', 3, '# TYPE a gauge\nb 1\n# HELP a Help\n'],
  ['a second HELP of a', 2, '# HELP a Help\n# HELP a Help\n'],
  ['a second TYPE of a', 2, '# TYPE a gauge\n# TYPE a counter\n'],
  ['TYPE stands behind samples of a', 2, 'a 1\n# TYPE a gauge\n'],
  ['there is no type number', 1, '# TYPE a number\n'],
  ['there is no type info', 1, '# TYPE a info\n'],
  ['a sample of a histogram has another name', 2, '# TYPE a histogram\na 1\n'],
  ['"" is no number', 2, '# TYPE a summary\na 1\n'],
  ['"" is no number', 2, '# TYPE a histogram\na_bucket 1\n'],
  ['the buckets do not ascend', 3, '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="0.5"} 1\n'],
  ['a bucket holds less than the one before it', 3, '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="2"} 0\n'],
  ['before this line, a lacks the bucket +Inf', 4, '# TYPE a histogram\na_bucket{le="1"} 1\na_count 1\nb 1\n'],
  ['before this line, a counts 2, its buckets 1', 3, '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\n'],
  ['before this line, a counts undefined, its buckets 1', 2, '# TYPE a histogram\na_bucket{le="+Inf"} 1\n'],
  ['OpenMetrics has no blank lines', 2, 'a 1\n\nb 1\n# EOF\n'],
  ['OpenMetrics has no comments but HELP, TYPE, UNIT', 1, '# Hello\n# EOF\n'],
  ['the name does not end with its unit, seconds', 1, '# UNIT a_bytes seconds\n# EOF\n'],
  ['a sample of a counter has another name', 2, '# TYPE a counter\na 1\n# EOF\n'],
  ['this is no sample', 1, ' a  1\n# EOF\n'],
  ['only counters and buckets have exemplars', 2, '# TYPE a gauge\na 1 # {x="1"} 1\n# EOF\n'],
  ['"x" is no number', 2, '# TYPE a counter\na_total 1 # {x="1"} x\n# EOF\n'],
  ['the labels of the exemplar are too long', 2, `# TYPE a counter\na_total 1 # {x="${'y'.repeat(128)}"} 1\n# EOF\n`],
] as const) {
  test(`${JSON.stringify(text.slice(0, 70))} is refused: ${problem}`, () => {
    assert.throws(
      () => parseExposition(text),
      (error: ExpositionError) => {
        assert.ok(error instanceof ExpositionError);
        const shown = text.endsWith('\n') ? text.split('\n')[line - 1] : text.split('\n').at(-1);
        assert.equal(error.message, `line ${line}: ${problem}: ${shown}`);
        assert.equal(error.line, line);
        return true;
      },
    );
  });
}

test('a page of OpenMetrics that was cut off is refused when its content type is known', () => {
  const cut = OPEN_METRICS.slice(0, OPEN_METRICS.indexOf('# TYPE took'));
  assert.throws(() => parseExposition(cut, Registry.OPENMETRICS_CONTENT_TYPE), /line 4: # EOF is missing/);
});

test('an empty page has no samples', () => {
  assert.deepEqual(parseExposition('').samples, []);
});
