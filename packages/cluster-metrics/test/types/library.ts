// Objects of this package where prom-client, or its successor, asks for its own, and the other way round. Never run; see
// types.test.ts, which gives the name prom-client to each of the two libraries.
import {
  ClusterRegistry,
  Counter,
  Gauge,
  Histogram,
  type Registry,
  Summary,
  WorkerRegistry,
} from '@techcommerce/cluster-metrics';
import * as prom from 'prom-client';

const common = { name: 'a', help: 'help' };
const worker = new WorkerRegistry();

/** A registry of ours is one of the library's. */
export function register(cluster: ClusterRegistry): prom.Registry[] {
  new prom.Counter({ ...common, registers: [worker, cluster] });
  new prom.Gauge({ ...common, registers: [worker] });
  new prom.Histogram({ ...common, registers: [worker] });
  prom.collectDefaultMetrics({ register: worker });
  new prom.Pushgateway('http://127.0.0.1:9091', {}, worker);
  prom.AggregatorRegistry.setRegistries([worker]);
  const isOne: boolean = cluster instanceof prom.AggregatorRegistry;
  return isOne ? [worker, cluster, prom.Registry.merge([worker])] : [];
}

/** A metric of ours is one of the library's. */
export function metrics<T extends string>(labelNames: T[]): prom.Metric<T>[] {
  const plain = new prom.Registry();
  const registers = [worker];
  const ours = [
    new Counter({ ...common, labelNames, registers }),
    new Gauge({ ...common, labelNames, registers }),
    new Histogram({ ...common, labelNames, registers }),
    new Summary({ ...common, labelNames, registers }),
  ];
  for (const metric of ours) plain.registerMetric(metric as prom.Metric<string>);
  return ours;
}

/** A metric of the library's, and a registry of it, may be given to ours. */
export function copy(directory: string): ClusterRegistry {
  const plain = new prom.Registry();
  const counter = new prom.Counter({ ...common, labelNames: ['kind'], registers: [plain] });
  worker.registerMetric(counter);
  const openMetrics = new prom.Registry<prom.OpenMetricsContentType>();
  return new ClusterRegistry({ directory, registers: [plain, openMetrics, worker] });
}

export const ours: Registry = worker;
