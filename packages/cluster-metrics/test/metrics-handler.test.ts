import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import zlib from 'node:zlib';
import { createMetricsHandler, type MetricsHandlerOptions, WorkerRegistry } from '../src/index.ts';
import { readProtobuf } from './support/protobuf.ts';
import { openCluster } from './support/stores.ts';

const TEXT = 'text/plain; version=0.0.4; charset=utf-8';
const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const PROTOBUF = 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited';
/** What Prometheus 3 sends. */
const PROMETHEUS_ACCEPT =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';

/** What Prometheus 2.42 sends with `--enable-feature=native-histograms`. */
const PROMETHEUS_2_42_NATIVE =
  'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
/** What Prometheus 3.5 sends with `--enable-feature=native-histograms`, and 3.14 with `scrape_native_histograms: true`. */
const PROMETHEUS_3_NATIVE =
  'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';

interface Asked {
  path?: string;
  method?: string;
  headers?: Record<string, string>;
}

/** A server with the handler, and workers at the places 1 and 2. */
async function startServer(t: TestContext, options: MetricsHandlerOptions = {}) {
  const { registry, workers } = openCluster(t, 2);
  const problems: Error[] = [];
  const handler = createMetricsHandler(registry, { onProblem: (problem) => problems.push(problem), ...options });
  const handled: Promise<void>[] = [];
  const server = createServer((request, response) => handled.push(handler(request, response)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;

  function send({ path = '/metrics', method = 'GET', headers = {} }: Asked = {}): ClientRequest {
    return request({ host: '127.0.0.1', port, path, method, headers, agent: false }).end();
  }
  async function ask(asked: Asked = {}) {
    const [response] = (await once(send(asked), 'response')) as [IncomingMessage];
    const raw = await buffer(response);
    const compressed = response.headers['content-encoding'] === 'gzip' && raw.length > 0;
    const body = compressed ? zlib.gunzipSync(raw) : raw;
    return { status: response.statusCode, headers: response.headers, raw, body: body.toString() };
  }
  return { registry, workers, problems, handled, send, ask };
}

for (const [accept, expected] of [
  [undefined, TEXT],
  ['*/*', TEXT],
  ['text/*', TEXT],
  ['text/plain;version=0.0.4', TEXT],
  [PROMETHEUS_ACCEPT, OPEN_METRICS],
  ['application/openmetrics-text', OPEN_METRICS],
  ['application/*', OPEN_METRICS],
  ['APPLICATION/OpenMetrics-Text; Version="1.0.0"', OPEN_METRICS],
  ['text/plain;q=0.3, application/openmetrics-text;q=0.31', OPEN_METRICS],
  ['application/openmetrics-text;q=0.3, text/plain;q=0.4', TEXT],
  ['application/openmetrics-text, */*', OPEN_METRICS],
  ['application/openmetrics-text, text/plain', TEXT],
  ['application/openmetrics-text;version=2.0.0, text/plain;q=0.1', TEXT],
  ['application/openmetrics-text;q=0, text/plain;q=0.1', TEXT],
  ['text/plain;q=0, */*', OPEN_METRICS],
  ['application/openmetrics-text;q=2, text/plain;q=0.1', TEXT],
  ['application/json', TEXT],
  [PROMETHEUS_2_42_NATIVE, PROTOBUF],
  [PROMETHEUS_3_NATIVE, PROTOBUF],
  ['application/vnd.google.protobuf', PROTOBUF],
  ['text/plain;q=0.5, application/vnd.google.protobuf;encoding="delimited";q=0.6', PROTOBUF],
  ['text/plain;q=0.6, application/vnd.google.protobuf;encoding=delimited;q=0.5', TEXT],
  ['application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text', TEXT],
  ['application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text, */*;q=0.1', TEXT],
  ['application/vnd.google.protobuf;proto=another.Message;encoding=delimited, text/*;q=0.1', TEXT],
  ['application/vnd.google.protobuf;q=0, text/*;q=0.1', TEXT],
  [',;q=1,/', TEXT],
] as const) {
  test(`Accept: ${accept} is answered with ${expected.split(';')[0]}`, async (t) => {
    const { ask } = await startServer(t);
    const { status, headers, raw, body } = await ask({ headers: { ...(accept !== undefined && { accept }) } });
    assert.equal(status, 200);
    assert.equal(headers['content-type'], expected);
    assert.equal(body.endsWith('# EOF\n'), expected === OPEN_METRICS);
    assert.equal(headers.vary, 'Accept, Accept-Encoding');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['content-length'], String(raw.length));
    if (expected === PROTOBUF) assert.equal(readProtobuf(raw).get('depth')?.type, 'GAUGE');
  });
}

test('OpenMetrics has the times of creation where the handler is asked for them', async (t) => {
  const { ask, workers } = await startServer(t, { createdSamples: true });
  workers[0]?.counter.inc({ kind: 'a' });
  const openMetrics = await ask({ headers: { accept: 'application/openmetrics-text' } });
  assert.match(openMetrics.body, /^acts_total\{kind="a"\} 1\nacts_created\{kind="a"\} \d+(\.\d+)?$/m);
  assert.doesNotMatch((await ask()).body, /_created/, 'text has no such samples');
  const plain = await startServer(t);
  assert.doesNotMatch((await plain.ask({ headers: { accept: 'application/openmetrics-text' } })).body, /_created/);
});

test('protobuf is compressed too, and shows one worker alone', async (t) => {
  const { ask, workers } = await startServer(t);
  for (const [i, { counter }] of workers.entries()) counter.inc({ kind: 'a' }, 1 + 2 * i);
  const headers = { accept: PROTOBUF, 'accept-encoding': 'gzip' };
  const totals: (number | undefined)[] = [];
  for (const path of ['/metrics', '/metrics?worker=1', '/metrics?worker=2']) {
    const answer = await ask({ path, headers });
    assert.equal(answer.headers['content-encoding'], 'gzip');
    totals.push(readProtobuf(zlib.gunzipSync(answer.raw)).get('acts_total')?.metric[0]?.counter?.value);
  }
  assert.deepEqual(totals, [4, 1, 3]);
});

test('a handler offers only the formats that it is told, the first to a client without a preference', async (t) => {
  const { ask } = await startServer(t, { formats: ['openmetrics', 'text'] });
  assert.equal((await ask()).headers['content-type'], OPEN_METRICS);
  assert.equal((await ask({ headers: { accept: 'text/plain' } })).headers['content-type'], TEXT);
  const textAlone = await startServer(t, { formats: ['text'] });
  const { headers } = await textAlone.ask({ headers: { accept: PROMETHEUS_ACCEPT } });
  assert.equal(headers['content-type'], TEXT);
});

for (const [accepted, compressed] of [
  [undefined, false],
  ['', false],
  ['gzip', true],
  ['GZIP', true],
  ['x-gzip', true],
  ['*', true],
  ['gzip, deflate, br', true],
  ['gzip;q=0.5', true],
  ['identity;q=0.5, gzip;q=0.5', true],
  ['identity, gzip;q=0.5', false],
  ['gzip;q=0', false],
  ['gzip;q=0, *', false],
  ['gzip;q=x', false],
  ['br', false],
  ['identity', false],
  ['*;q=0', false],
  [',', false],
] as const) {
  test(`Accept-Encoding: ${accepted} is answered ${compressed ? 'with gzip' : 'uncompressed'}`, async (t) => {
    const { ask } = await startServer(t);
    const { headers, raw, body } = await ask({
      headers: { ...(accepted !== undefined && { 'accept-encoding': accepted }) },
    });
    assert.equal(headers['content-encoding'], compressed ? 'gzip' : undefined);
    assert.equal(headers['content-length'], String(raw.length));
    assert.match(body, /^acts_total|^# HELP/);
  });
}

test('compression never sends text, and smallest sends fewer bytes than fastest', async (t) => {
  const lengths: number[] = [];
  for (const compression of ['never', 'fastest', 'smallest'] as const) {
    const { ask, workers } = await startServer(t, { compression });
    for (let i = 0; i < 500; i++) workers[0]?.counter.inc({ kind: `kind ${i}` }, i);
    const { headers, raw } = await ask({ headers: { 'accept-encoding': 'gzip' } });
    assert.equal(headers['content-encoding'], compression === 'never' ? undefined : 'gzip');
    lengths.push(raw.length);
  }
  assert.deepEqual(
    lengths,
    lengths.toSorted((a, b) => b - a),
  );
});

test('scrapes that arrive together share one gathering and one compression', async (t) => {
  const { registry, workers } = openCluster(t, 1);
  const compressions = t.mock.method(zlib, 'gzip');
  const handler = createMetricsHandler(registry);
  workers[0]?.counter.inc({ kind: 'a' });
  const answers = await Promise.all([1, 2, 3].map(() => answerOf(handler)));
  assert.equal(compressions.mock.callCount(), 1);
  for (const body of answers) assert.deepEqual(body, answers[0]);
  const text = zlib.gunzipSync(await answerOf(handler)).toString();
  assert.equal(compressions.mock.callCount(), 2);
  assert.match(text, /^cluster_metrics_scrape_duration_seconds_count 1$/m);
});

/** The handler's answer to a client that accepts gzip and asks in the same turn of the event loop. */
async function answerOf(handler: ReturnType<typeof createMetricsHandler>): Promise<Buffer> {
  const request = { method: 'GET', url: '/metrics', headers: { 'accept-encoding': 'gzip' } };
  let body: Buffer = Buffer.alloc(0);
  const response = { appendHeader() {}, writeHead() {}, end: (bytes: Buffer) => (body = bytes) };
  await handler(request as never, response as never);
  return body;
}

test('?worker shows one worker, and a sentence tells when it cannot', async (t) => {
  const { ask, workers, problems } = await startServer(t);
  workers[0]?.counter.inc({ kind: 'a' }, 3);
  workers[1]?.counter.inc({ kind: 'a' }, 4);
  assert.match((await ask({ path: '/metrics?worker=2' })).body, /^acts_total\{kind="a"\} 4$/m);
  assert.match((await ask({ path: '/metrics?other=2' })).body, /^acts_total\{kind="a"\} 7$/m);
  const openMetrics = await ask({ path: '/metrics?worker=2', headers: { accept: 'application/openmetrics-text' } });
  assert.match(openMetrics.body, /^acts_total\{kind="a"\} 4$/m);

  const missing = await ask({ path: '/metrics?worker=3' });
  assert.deepEqual([missing.status, missing.body], [404, 'There is no worker 3.\n']);
  assert.equal(missing.headers['content-type'], 'text/plain; charset=utf-8');
  for (const query of ['worker=', 'worker=1&worker=2', 'worker=%3Cb%3E', 'worker=..%2F1']) {
    const { status, body } = await ask({ path: `/metrics?${query}` });
    assert.equal(status, 400, query);
    assert.equal(body, 'worker must be the place of one worker, for example ?worker=2.\n');
  }
  assert.deepEqual(problems, []);
});

test('HEAD is answered as GET without the body', async (t) => {
  const { ask } = await startServer(t);
  for (const headers of [{}, { 'accept-encoding': 'gzip' }]) {
    const get = await ask({ headers });
    const head = await ask({ headers, method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.raw.length, 0);
    assert.equal(head.headers['content-type'], get.headers['content-type']);
    assert.equal(head.headers['content-encoding'], get.headers['content-encoding']);
    assert.ok(Number(head.headers['content-length']) > 0);
  }
});

test('every other method is answered with 405', async (t) => {
  const { ask } = await startServer(t);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const { status, headers, body } = await ask({ method });
    assert.deepEqual([status, headers.allow, body], [405, 'GET, HEAD', 'Use GET or HEAD.\n'], method);
  }
});

test('a failed gathering is answered with 500, reported and counted', async (t) => {
  const { ask, registry, problems } = await startServer(t);
  const exposition = t.mock.method(registry, 'exposition', async () => {
    throw new RangeError('Invalid string length');
  });
  const { status, body } = await ask();
  assert.equal(status, 500);
  assert.equal(body, 'The metrics could not be shown; the log of this process says why.\n');
  assert.deepEqual(problems, [new RangeError('Invalid string length')]);
  exposition.mock.restore();
  assert.match((await ask()).body, /^cluster_metrics_handler_errors_total\{cause="gathering"\} 1$/m);
});

test('a failed compression is answered with 500, reported and counted', async (t) => {
  const { ask, problems } = await startServer(t);
  const gzip = t.mock.method(zlib, 'gzip', (...args: unknown[]) =>
    (args.at(-1) as (error: Error) => void)(new Error('no memory')),
  );
  assert.equal((await ask({ headers: { 'accept-encoding': 'gzip' } })).status, 500);
  assert.deepEqual(problems, [new Error('no memory')]);
  gzip.mock.restore();
  assert.match((await ask()).body, /^cluster_metrics_handler_errors_total\{cause="compression"\} 1$/m);
});

test('a failure is a process warning by default', async (t) => {
  const { registry } = openCluster(t, 1);
  t.mock.method(registry, 'exposition', async () => {
    throw new Error('out of order');
  });
  const warned = once(process, 'warning');
  await answerOf(createMetricsHandler(registry));
  const [warning] = (await warned) as [Error];
  assert.equal(warning.message, 'out of order');
});

test('a client that hangs up is no failure', async (t) => {
  const { ask, send, handled, registry, problems } = await startServer(t);
  let gathered = () => {};
  const gathering = new Promise<void>((resolve) => {
    gathered = resolve;
  });
  const exposition = t.mock.method(registry, 'exposition', async () => {
    client.destroy();
    await gathering;
    return Buffer.from('late');
  });
  const client = send();
  client.on('error', () => {});
  await new Promise((resolve) => client.once('close', resolve));
  exposition.mock.restore();
  // The same server answers this, so it has noticed that the other client has gone.
  assert.match((await ask()).body, /^cluster_metrics_handler_errors_total\{cause="gathering"\} 0$/m);
  gathered();
  await Promise.all(handled);
  assert.deepEqual(problems, []);
  assert.doesNotMatch((await ask()).body, /^cluster_metrics_handler_errors_total\{.*\} [1-9]/m);
});

test('headers that the application has set are kept', async (t) => {
  const { registry } = openCluster(t, 1);
  const handler = createMetricsHandler(registry);
  const server = createServer((request, response) => {
    response.setHeader('Vary', 'Origin').setHeader('X-Frame-Options', 'DENY');
    void handler(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { headers } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  assert.equal(headers.get('vary'), 'Origin, Accept, Accept-Encoding');
  assert.equal(headers.get('x-frame-options'), 'DENY');
});

test('wrong options of a handler are refused when it is created', (t) => {
  const { registry } = openCluster(t, 1);
  assert.throws(() => createMetricsHandler(new WorkerRegistry() as never), {
    name: 'TypeError',
    message: 'Write createMetricsHandler(new ClusterRegistry({ directory })), not of [WorkerRegistry]',
  });
  assert.throws(() => createMetricsHandler(registry, { compression: 'brotli' as never }), {
    name: 'TypeError',
    message: "compression must be 'fastest', 'smallest' or 'never', not 'brotli'",
  });
  assert.throws(() => createMetricsHandler(registry, { createdSamples: 'yes' as never }), {
    name: 'TypeError',
    message: "createdSamples must be true or false, not 'yes'",
  });
  for (const formats of [[], ['json']]) {
    assert.throws(() => createMetricsHandler(registry, { formats: formats as never }), {
      name: 'TypeError',
      message: /^formats must be an array with one or more of 'text', 'openmetrics', 'protobuf', not \[/,
    });
  }
});
