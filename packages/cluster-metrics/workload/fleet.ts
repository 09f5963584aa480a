import { AggregatorRegistry, Registry } from 'prom-client';
import {
  ClusterRegistry,
  Counter,
  createStoreDirectory,
  Gauge,
  Histogram,
  openStore,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { load } from './mechanism.ts';
import { declareMix, latency } from './mix.ts';

/**
 * The stores of many workers in one process, and the messages that the same workers would send to prom-client's
 * AggregatorRegistry. For measuring only the primary's share of a scrape.
 *
 * @param native whether this package's histograms have native buckets
 */
export async function openFleet({ workers, samples, native }: { workers: number; samples: number; native: boolean }) {
  const directory = createStoreDirectory({ name: 'bench' });
  const registry = new ClusterRegistry({ directory: directory.path });
  const stock = await load('stock');
  const ours = await load('ours');
  if (stock === null || ours === null) throw new Error('both are installed');
  const messages: string[] = [];
  const stores = Array.from({ length: workers }, (_, i) => openStore({ directory: directory.path, worker: i + 1 }));
  for (const store of stores) {
    declareMix(ours.library, new WorkerRegistry(store), samples, native);
    store.flush();
    const own = new Registry();
    declareMix(stock.library, own as WorkerRegistry, samples);
    messages.push(JSON.stringify(await own.getMetricsAsJSON()));
  }
  return {
    messages,
    scrape: () => registry.clusterMetrics(),
    scrapeProtobuf: () => registry.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE }),
    readSamples: () => registry.samples(),
    close() {
      for (const store of stores) store.close();
      registry.close();
      directory.remove();
    },
  };
}

/** Aggregates the workers' messages as prom-client's primary does. */
export function mergeStock(messages: readonly string[]): Promise<string> {
  return AggregatorRegistry.aggregate(messages.map((message) => JSON.parse(message))).metrics();
}

const ROUTE = { method: 'GET', route: '/detail/:id', status_code: '200' };
const SPENT = ['app', 'db', 'db_wait', 'payment'];

/** All metrics of one request with three queries. */
export function startRequests() {
  const directory = createStoreDirectory({ name: 'bench' });
  const store = openStore({ directory: directory.path, worker: 1 });
  const ours = defineRequest({ Counter, Gauge, Histogram, Summary }, new WorkerRegistry(store));
  return {
    /** Includes the write before the response. */
    ours() {
      ours.begin();
      ours.end();
      store.flush();
    },
    close() {
      store.close();
      directory.remove();
    },
  };
}

type Library = Parameters<typeof declareMix>[0];

export function defineRequest(library: Library, registry: WorkerRegistry) {
  const common = { help: 'help', registers: [registry] };
  const labelNames = ['method', 'route', 'status_code'] as const;
  const lazy = { lazy: true };
  const inFlight = new library.Gauge({ ...common, ...lazy, name: 'in_flight' });
  const duration = new library.Histogram({ ...common, name: 'duration_seconds', labelNames });
  const size = new library.Histogram({ ...common, name: 'size_bytes', labelNames, buckets: [1e3, 1e4, 1e5, 1e6] });
  const views = new library.Counter({ ...common, name: 'views_total', labelNames: ['product'] as const });
  const time = new library.Counter({ ...common, name: 'time_total', labelNames: ['route', 'spent'] as const });
  const queries = new library.Summary({
    ...common,
    name: 'query_seconds',
    labelNames: ['operation', 'table'] as const,
    percentiles: [0.5, 0.9, 0.95, 0.99],
    maxAgeSeconds: 300,
    ...{ ageBuckets: 5 },
    ...lazy,
  });
  // As many other series as a shop has, so that the values of one request lie apart in the store.
  for (let i = 0; i < 40; i++) duration.zero({ ...ROUTE, route: `/${i}` });
  for (let i = 0; i < 40; i++) size.zero({ ...ROUTE, route: `/${i}` });
  const latencies = Array.from({ length: 1024 }, latency);
  let next = 0;

  return {
    begin: () => inFlight.inc(),
    end() {
      for (const table of ['products', 'carts', 'cart_items']) {
        queries.observe({ operation: 'select', table }, latencies[next++ & 1023] as number);
      }
      views.inc({ product: 'mochila-urbana' });
      for (const spent of SPENT) time.inc({ route: ROUTE.route, spent }, 0.001);
      duration.observe(ROUTE, latencies[next & 1023] as number);
      size.observe(ROUTE, 12_345);
      inFlight.dec();
    },
  };
}
