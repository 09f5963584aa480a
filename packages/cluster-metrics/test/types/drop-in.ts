// What a user of prom-client may have written, with the import changed: it has to compile. Never run; see types.test.ts.
import client, {
  type Aggregator,
  AggregatorRegistry,
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  contentType,
  exponentialBuckets,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  type LabelValues,
  linearBuckets,
  type Metric,
  type MetricObjectWithValues,
  type MetricType,
  type MetricValue,
  type OpenMetricsContentType,
  openMetricsContentType,
  type PrometheusContentType,
  Pushgateway,
  prometheusContentType,
  Registry,
  type RegistryContentType,
  register,
  Summary,
  type SummaryConfiguration,
  validateMetricName,
} from '@techcommerce/cluster-metrics';

const byDefault: client.Counter<'kind'> = new client.Counter({ name: 'e', help: 'help', labelNames: ['kind'] });
const byDefaultOptions: client.GaugeConfiguration<string> = { name: 'f', help: 'help' };
export const defaults = [byDefault, byDefaultOptions];

const registry = new Registry();
registry.setDefaultLabels({ app: 'shop' });
registry.setContentType(Registry.PROMETHEUS_CONTENT_TYPE);
const registers = [registry];

new Gauge({
  name: 'rooms',
  help: 'help',
  registers,
  collect() {
    this.set(1);
  },
});
new Counter({
  name: 'acts_total',
  help: 'help',
  labelNames: ['kind'],
  async collect() {
    this.inc({ kind: 'a' });
  },
});
new Histogram({
  name: 'size',
  help: 'help',
  buckets: linearBuckets(0, 10, 20),
  collect() {
    this.observe(1);
  },
});
new Summary({
  name: 'wait',
  help: 'help',
  percentiles: [0.5],
  maxAgeSeconds: 600,
  ageBuckets: 5,
  pruneAgedBuckets: true,
  compressCount: 1,
  collect() {
    this.observe(1);
  },
});

const counterOptions: CounterConfiguration<'kind'> = { name: 'a', help: 'help', labelNames: ['kind'] as const };
const gaugeOptions: GaugeConfiguration<string> = { name: 'b', help: 'help', aggregator: 'max' };
const histogramOptions: HistogramConfiguration<'route'> = {
  name: 'c',
  help: 'help',
  labelNames: ['route'],
  buckets: exponentialBuckets(1, 2, 5),
  enableExemplars: true,
};
const summaryOptions: SummaryConfiguration<'route'> = { name: 'd', help: 'help', labelNames: ['route'] };
const counter = new Counter(counterOptions);
const gauge = new Gauge(gaugeOptions);
const histogram = new Histogram(histogramOptions);
const summary = new Summary(summaryOptions);

counter.inc();
counter.inc(2);
counter.inc({ kind: 'a' });
counter.inc({ kind: 'a' }, 2);
const ofKind: Counter.Internal = counter.labels('a');
ofKind.inc();
counter.labels({ kind: 'a' }).inc(2);
counter.remove('a');
counter.remove({ kind: 'a' });
counter.reset();
// @ts-expect-error: it is no label of this counter
counter.inc({ sort: 'a' });

gauge.set(1);
gauge.set({ room: 'a' }, 1);
gauge.inc();
gauge.dec({ room: 'a' }, 2);
gauge.setToCurrentTime();
const ofRoom: Gauge.Internal<string> = gauge.labels('a');
ofRoom.set(ofRoom.startTimer()({ room: 'a' }));

histogram.observe(1);
histogram.observe({ route: '/' }, 1);
histogram.zero({ route: '/' });
const end = histogram.startTimer({ route: '/' });
const seconds: number = end({ route: '/' });
const ofRoute: Histogram.Internal<'route'> = histogram.labels('/');
ofRoute.observe(seconds);
histogram.observe({ labels: { route: '/' }, value: 1, exemplarLabels: { route: 'a' } });
const endWithExemplar = histogram.startTimer({ route: '/' }, { route: 'a' });
endWithExemplar({ route: '/' }, { route: 'a' });
counter.inc({ labels: { kind: 'a' }, value: 2, exemplarLabels: { kind: 'a' } });
histogram.remove('/');
histogram.reset();

summary.observe({ route: '/' }, 1);
const ofSummary: Summary.Internal<'route'> = summary.labels({ route: '/' });
ofSummary.startTimer()();
summary.remove({ route: '/' });
summary.reset();

registry.registerMetric(counter);
const found = registry.getSingleMetric('acts_total') as Counter<'kind'>;
found.inc({ kind: 'a' });
const any: Metric<'kind'> | undefined = registry.getSingleMetric('acts_total');
const labels: LabelValues<'kind'> = { kind: 'a' };
const aggregator: Aggregator = 'max';
const type: MetricType = 'counter';

export async function read() {
  const text: string = await registry.metrics();
  const one: string = await registry.getSingleMetricAsString('acts_total');
  const json: MetricObjectWithValues<MetricValue<string>>[] = await registry.getMetricsAsJSON();
  const { values, name, help } = await counter.get();
  const kind: string | number | undefined = values[0]?.labels.kind;
  const names: string[] = registry.getMetricsAsArray().map((metric) => metric.name);
  const valid: boolean = validateMetricName(name);
  return { text, one, json, kind, names, help, any, labels, aggregator, type, valid };
}

collectDefaultMetrics({ register: registry, prefix: 'my_', labels: { a: 'b' }, gcDurationBuckets: [0.1] });
const types: RegistryContentType[] = [contentType, prometheusContentType, openMetricsContentType];
const openMetrics = new Registry<OpenMetricsContentType>();
openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
const merged = Registry.merge([registry, registry]);
const gateway = new Pushgateway('http://127.0.0.1:9091', {}, registry);
export const later = [types, openMetrics.contentType, merged.metrics(), gateway.push({ jobName: 'job' }), register];

export function cluster(directory: string) {
  const aggregated: AggregatorRegistry<PrometheusContentType> = new AggregatorRegistry({ directory });
  return aggregated.clusterMetrics();
}
