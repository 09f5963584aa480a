/**
 * Measures what instances cost a Prometheus, and what Prometheus costs an instance: `npm run bench:fleet`.
 *
 * First the page of `/metrics` by number of workers and products, and in each form after shoppers were in the shop. Then a
 * real Prometheus with shoppers in the shop: bytes of a sample on disk, and memory and processor time by number of targets.
 * The targets are one instance under many names: Prometheus does not know, and has as much to do as with many instances.
 *
 * `-- --minutes=8` is how long Prometheus scrapes once a second for the bytes; a block of 2 h at 15 s has 480 samples a
 * series, and so do 8 minutes. `-- --pages` measures the pages alone. Needs Debian's `prometheus`.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { number, printTable } from '../packages/cluster-metrics/bench/table.ts';
import { parseExposition } from '../packages/cluster-metrics/src/testing/index.ts';
import { type Metric, readProtobuf } from '../packages/cluster-metrics/test/support/protobuf.ts';
import type { ReleaseStack } from '../src/cluster/release.ts';
import { connect } from '../src/db/index.ts';
import { projectRoot } from '../src/paths.ts';
import { freePort } from '../test/support/system.ts';
import { until } from '../test/support/wait.ts';
import { memoryBytes, startCpuTimer } from './processes.ts';
import { ended } from './program.ts';
import { runWithResources } from './resources.ts';
import { type BenchShop, startShop } from './shop.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** Workers and products. The seeds have 24. */
const CASES = [
  [1, 24],
  [2, 24],
  [8, 24],
  [2, 240],
  [2, 2400],
] as const;
const SCRAPES = 60;
const FEW_TARGETS = 5;
const MANY_TARGETS = 50;
/** Long enough for a few scrapes of each target, at the interval of production. */
const SETTLE_MS = 2.5 * MINUTE;
const SHOPPERS = 40;
/** Requests of shoppers until most histograms of a visited shop have counted. */
const REQUESTS_BEFORE_PAGE = 600;
const SCRAPED_DEADLINE_MS = 5 * MINUTE;

const TEXT = 'application/openmetrics-text;version=1.0.0';
const PROTOBUF = 'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited';

const { values: options } = parseArgs({
  options: { minutes: { type: 'string', default: '8' }, pages: { type: 'boolean', default: false } },
});
const minutes = Number(options.minutes);

await runWithResources(async (resources) => {
  const folder = resources.add(await mkdtemp(join(tmpdir(), 'fake-shop-fleet-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  await measurePages(folder, resources);
  await measureForms(folder, resources);
  if (!options.pages) await measurePrometheus(folder, resources);
});

async function measurePages(folder: string, resources: ReleaseStack): Promise<void> {
  const rows: string[][] = [];
  for (const [workers, products] of CASES) {
    const shop = await startShop(folder, resources, { workers, env: { LOG_LEVEL: 'warn' } });
    await addProducts(shop, products);
    const text = await scrape(shop, TEXT, 'identity');
    const samples = text.body
      .toString()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#')).length;
    const zipped = await scrape(shop, TEXT, 'gzip');
    const protobuf = await scrape(shop, PROTOBUF, 'identity');
    const protobufZipped = await scrape(shop, PROTOBUF, 'gzip');
    rows.push([
      String(workers),
      String(products),
      String(samples),
      number(text.body.length / 1000),
      number(zipped.bytes / 1000),
      number(protobuf.bytes / 1000),
      number(protobufZipped.bytes / 1000),
      number((await processorTime(shop, TEXT)) * SECOND),
      number((await memoryBytes(await shop.primary())) / 1e6),
    ]);
    await shop.stop();
  }
  printTable(
    'A page of /metrics',
    [
      'workers',
      'products',
      'samples',
      'kB',
      'kB, gzip',
      'kB, protobuf',
      'kB, protobuf, gzip',
      "ms of the primary's processor",
      "primary's MB",
    ],
    rows,
  );
}

/** What a scrape of a visited shop costs in each form, and the series that Prometheus makes of it. */
async function measureForms(folder: string, resources: ReleaseStack): Promise<void> {
  const shop = await startShop(folder, resources, { workers: 2, env: { LOG_LEVEL: 'warn' } });
  const shoppers = startShoppers(shop, resources);
  await until(
    'shoppers have used the shop',
    async () => {
      const { body } = await scrape(shop, TEXT, 'identity');
      const page = parseExposition(body.toString(), TEXT);
      return (page.get('http_request_duration_seconds_count') ?? 0) >= REQUESTS_BEFORE_PAGE;
    },
    SCRAPED_DEADLINE_MS,
  );
  await shoppers.stop();
  const metrics = [...readProtobuf((await scrape(shop, PROTOBUF, 'identity')).body).values()].flatMap(
    ({ metric }) => metric,
  );
  const classic = sumOf(metrics, classicSeries);
  const native = sumOf(metrics, nativeSeries);
  const both = sumOf(metrics, (metric) => classicSeries(metric) + (isNative(metric) ? 1 : 0));
  const rows: string[][] = [];
  for (const [form, accept, series] of [
    ['text', TEXT, String(classic)],
    ['protobuf', PROTOBUF, `${native}; ${both} with the classic buckets too`],
  ] as const) {
    const plain = await scrape(shop, accept, 'identity');
    const zipped = await scrape(shop, accept, 'gzip');
    const cpuMs = (await processorTime(shop, accept)) * SECOND;
    rows.push([form, number(plain.bytes / 1000), number(zipped.bytes / 1000), number(cpuMs), series]);
  }
  printTable(
    `A page of /metrics after ${REQUESTS_BEFORE_PAGE} requests, 2 workers, 24 products`,
    ['form', 'kB', 'kB, gzip', "ms of the primary's processor, gzip", 'series in Prometheus'],
    rows,
  );
  await shop.stop();
}

function sumOf<T>(all: readonly T[], value: (each: T) => number): number {
  return all.reduce((sum, each) => sum + value(each), 0);
}

/** Series of the text format: the twin of a summary is not in it. */
function classicSeries({ histogram, summary }: Metric): number {
  if (summary !== undefined) return (summary.quantile?.length ?? 0) + 2;
  if (histogram === undefined) return 1;
  const buckets = histogram.bucket?.length ?? 0;
  return buckets === 0 ? 0 : buckets + 3;
}

/** Series of a Prometheus that takes native histograms, and their classic buckets only where there are no native ones. */
function nativeSeries(metric: Metric): number {
  return isNative(metric) ? 1 : classicSeries(metric);
}

function isNative({ histogram }: Metric): boolean {
  return histogram?.schema !== undefined;
}

/** Adds products until there are so many, and waits until the page has their series. */
async function addProducts(shop: BenchShop, count: number): Promise<void> {
  const log = pino({ level: 'error' });
  const knex = connect(await shop.database(), { poolMax: 1, applicationName: 'bench', log });
  try {
    await knex.raw(
      `insert into products (slug, name, category_id, price_cents, stock, featured, summary, description, facts, picture)
       select 'bench-' || n, 'Bench ' || n, category_id, price_cents, stock, false, summary, description, facts, picture
       from products, generate_series((select count(*) + 1 from products), ?::int) n
       where id = (select min(id) from products)`,
      [count],
    );
  } finally {
    await knex.destroy();
  }
  await until('every product has its series', async () => {
    const { body } = await scrape(shop, TEXT, 'identity');
    return (body.toString().match(/^shop_product_views_total\{/gm)?.length ?? 0) === count;
  });
}

interface Page {
  body: Buffer;
  /** On the wire. */
  bytes: number;
}

async function scrape(shop: BenchShop, accept: string, encoding: string): Promise<Page> {
  const response = await fetch(`${shop.opsOrigin}/metrics`, {
    headers: { Accept: accept, 'Accept-Encoding': encoding },
    signal: AbortSignal.timeout(30 * SECOND),
  });
  const body = Buffer.from(await response.arrayBuffer());
  const bytes = Number(response.headers.get('content-length') ?? body.length);
  return { body, bytes };
}

/** Seconds of the primary's processor for a scrape with gzip, less what it needs anyway. */
async function processorTime(shop: BenchShop, accept: string): Promise<number> {
  const primary = [await shop.primary()];
  const scrapeAll = async () => {
    for (let i = 0; i < SCRAPES; i++) await scrape(shop, accept, 'gzip');
  };
  await scrapeAll();
  const startedMs = performance.now();
  const used = await startCpuTimer(primary);
  await scrapeAll();
  const withScrapes = await used();
  const elapsedMs = performance.now() - startedMs;
  const idle = await startCpuTimer(primary);
  await sleep(elapsedMs);
  return (withScrapes - (await idle())) / SCRAPES;
}

async function measurePrometheus(folder: string, resources: ReleaseStack): Promise<void> {
  const shop = await startShop(folder, resources, { workers: 2, env: { LOG_LEVEL: 'warn' } });
  startShoppers(shop, resources);
  const each = await startPrometheus(folder, resources, shop, { targets: 1, seconds: 1 });
  const pagesBefore = await each.value('sum(http_request_duration_seconds_count)');
  await sleep(minutes * MINUTE);
  const pages = (await each.value('sum(http_request_duration_seconds_count)')) - pagesBefore;
  const block = await each.snapshot();
  await each.stop();
  printTable(
    'Prometheus on disk',
    ['samples', 'requests between two scrapes', 'bytes of a sample: chunks', 'bytes of a sample: with the index'],
    [
      [
        String(block.samples),
        number(pages / (minutes * 60)),
        number(block.chunkBytes / block.samples),
        number(block.bytes / block.samples),
      ],
    ],
  );

  const rows: string[][] = [];
  const sizes: Array<{ series: number; bytes: number; seconds: number }> = [];
  for (const targets of [FEW_TARGETS, MANY_TARGETS]) {
    const server = await startPrometheus(folder, resources, shop, { targets, seconds: 15 });
    await sleep(SETTLE_MS);
    const used = await startCpuTimer([server.pid]);
    await sleep(MINUTE);
    const seconds = await used();
    const series = await server.value('prometheus_tsdb_head_series');
    const bytes = await memoryBytes(server.pid);
    sizes.push({ series, bytes, seconds });
    rows.push([String(targets), String(series), number(bytes / 1e6), number((seconds / 60) * 100)]);
    await server.stop();
  }
  const [few, many] = sizes as [(typeof sizes)[0], (typeof sizes)[0]];
  const moreSeries = many.series - few.series;
  printTable('Prometheus by number of targets, a scrape each 15 s', ['targets', 'series', 'MB', '% of a core'], rows);
  console.log(
    `\nEach further series takes ${number((many.bytes - few.bytes) / moreSeries)} bytes of memory; each further sample ${number(
      ((many.seconds - few.seconds) / ((moreSeries * 60) / 15)) * 1e6,
    )} µs of processor time.`,
  );
}

function startShoppers(shop: BenchShop, resources: ReleaseStack): { stop(): Promise<void> } {
  const child = spawn(
    process.execPath,
    [
      ...['--import', 'tsx', 'traffic/main.ts', '--url', shop.origin, '--metrics-url', shop.opsOrigin],
      ...['--shoppers', String(SHOPPERS), '--think', '1', '--minutes', '60'],
    ],
    { cwd: projectRoot, stdio: 'ignore' },
  );
  const stop = async () => {
    child.kill('SIGTERM');
    await ended(child);
  };
  resources.add(child, stop);
  return { stop };
}

interface Server {
  pid: number;
  value(expression: string): Promise<number>;
  /** Writes all samples into a block, as Prometheus does after two hours. */
  snapshot(): Promise<{ samples: number; chunkBytes: number; bytes: number }>;
  stop(): Promise<void>;
}

/** Debian's Prometheus, which scrapes itself and one instance under so many names. */
async function startPrometheus(
  folder: string,
  resources: ReleaseStack,
  shop: BenchShop,
  { targets, seconds }: { targets: number; seconds: number },
): Promise<Server> {
  const port = await freePort();
  const data = await mkdtemp(join(folder, 'prometheus-'));
  const target = new URL(shop.opsOrigin).host;
  const names = Array.from({ length: targets }, (_, i) => `shop-${i}:9464`);
  await writeFile(
    join(data, 'prometheus.yml'),
    JSON.stringify({
      global: { scrape_interval: `${seconds}s`, scrape_timeout: `${seconds}s` },
      scrape_configs: [
        {
          job_name: 'fake-shop',
          static_configs: names.map((instance) => ({ targets: [target], labels: { instance } })),
        },
      ],
    }),
  );
  const child = spawn(
    'prometheus',
    [
      `--config.file=${data}/prometheus.yml`,
      `--storage.tsdb.path=${data}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-admin-api',
    ],
    { stdio: 'ignore' },
  );
  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    await ended(child);
  }
  resources.add(child, stop);
  const api = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}/${path}`, { method, signal: AbortSignal.timeout(MINUTE) });
    if (!response.ok) throw new Error(`Prometheus: ${path}: ${await response.text()}`);
    return response;
  };

  async function value(expression: string): Promise<number> {
    if (expression.startsWith('prometheus_')) {
      const page = await (await api('metrics')).text();
      return Number(new RegExp(`^${expression} (.*)$`, 'm').exec(page)?.[1]);
    }
    const response = await api(`api/v1/query?query=${encodeURIComponent(expression)}`);
    const { data } = (await response.json()) as { data: { result: Array<{ value: [number, string] }> } };
    return Number(data.result[0]?.value[1]);
  }
  await until('Prometheus has scraped', async () => (await value('count(up == 1)')) === targets, SCRAPED_DEADLINE_MS);
  return {
    pid: child.pid as number,
    value,
    stop,
    async snapshot() {
      const response = await api('api/v1/admin/tsdb/snapshot', 'POST');
      const answer = (await response.json()) as { data: { name: string } };
      const snapshot = join(data, 'data/snapshots', answer.data.name);
      let [samples, chunkBytes, bytes] = [0, 0, 0];
      for (const block of await readdir(snapshot)) {
        samples += JSON.parse(await readFile(join(snapshot, block, 'meta.json'), 'utf8')).stats.numSamples;
        const index = (await readFile(join(snapshot, block, 'index'))).length;
        for (const chunk of await readdir(join(snapshot, block, 'chunks'))) {
          chunkBytes += (await readFile(join(snapshot, block, 'chunks', chunk))).length;
        }
        bytes += index;
      }
      return { samples, chunkBytes, bytes: bytes + chunkBytes };
    },
  };
}
