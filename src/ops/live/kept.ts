import type { ClusterRegistry, Labels, NativeHistogram, Sample } from '@techcommerce/cluster-metrics';
import { atWorker, CHECKOUT, duration, FAILURES, isPage, series } from './keys.ts';
import type { Key } from './model.ts';

/** Which samples of a metric are kept, and as which numbers. */
interface Kept {
  /** Name of the metric. */
  readonly metric: string;
  /** Behind the metric's name in the samples'. */
  readonly suffix?: '_bucket' | '_count' | '_sum';
  /** A sample adds to each of these numbers. */
  readonly keys: (name: string, labels: Labels) => readonly Key[];
}

/** Adds the samples up by each set of labels. */
function by(...sets: readonly (readonly string[])[]): Kept['keys'] {
  return (name, labels) => sets.map((set) => series(name, pick(labels, set)));
}

function pick(labels: Labels, names: readonly string[]): Labels {
  return Object.fromEntries(names.flatMap((name) => (labels[name] === undefined ? [] : [[name, labels[name]]])));
}

/** Only the submits of the checkout. */
function ofSubmits(name: string, labels: Labels): Key[] {
  const isSubmit = labels.route === CHECKOUT && labels.method === 'POST';
  return isSubmit ? [series(name, pick(labels, ['method', 'route']))] : [];
}

/** The number of requests up to a bound, as the history keeps it. Not a key of the page. */
export function bucketKey(histogram: Key, le: string): Key {
  return `${histogram}${LE}${le}`;
}

export function isBucketKey(key: Key): boolean {
  return key.includes(LE);
}

const LE = ' le ';

const DURATION = 'http_request_duration_seconds';

/** With a history: what courses, increases and rates are made of. */
const IN_HISTORY: readonly Kept[] = [
  { metric: 'shop_active_sessions', keys: by([]) },
  { metric: 'shop_active_cart_sessions', keys: by([]) },
  { metric: 'shop_orders_total', keys: by([], ['outcome']) },
  { metric: 'shop_order_value_brl_total', keys: by([]) },
  { metric: 'shop_payments_total', keys: by(['method', 'outcome']) },
  { metric: 'shop_product_views_total', keys: by([], ['product']) },
  { metric: 'shop_cart_additions_total', keys: by([], ['product']) },
  { metric: 'shop_units_sold_total', keys: by([], ['product']) },
  {
    metric: 'shop_errors_total',
    keys: (name, labels) => [
      ...by([], ['route'], ['type'])(name, labels),
      // By route as well, to know where a failure is.
      ...(FAILURES.some((type) => type === labels.type) ? [series(name, labels)] : []),
    ],
  },
  { metric: 'shop_checkout_phase_duration_seconds', suffix: '_sum', keys: by(['phase']) },
  { metric: 'shop_checkout_phase_duration_seconds', suffix: '_count', keys: by(['phase']) },
  {
    metric: 'shop_request_time_seconds_total',
    keys: (name, labels) => [
      series(name, pick(labels, ['spent'])),
      ...(labels.route === CHECKOUT || labels.spent === 'app' ? [series(name, labels)] : []),
    ],
  },
  {
    metric: DURATION,
    suffix: '_count',
    keys: (name, labels) => [...by([], ['route'])(name, labels), ...ofSubmits(name, labels)],
  },
  { metric: DURATION, suffix: '_sum', keys: ofSubmits },
  {
    metric: DURATION,
    suffix: '_bucket',
    keys: (_name, { route = '', le = '' }) => [
      bucketKey(duration(route), le),
      ...(isPage(route) ? [bucketKey(duration(), le)] : []),
    ],
  },
  { metric: 'shop_db_operation_duration_seconds', suffix: '_sum', keys: by(['operation', 'table']) },
  { metric: 'shop_db_operation_duration_seconds', suffix: '_count', keys: by(['operation', 'table']) },
  { metric: 'shop_worker_restarts_total', keys: by(['reason']) },
  { metric: 'shop_cpu_usage_ratio', keys: by(['worker']) },
  { metric: 'shop_metrics_worker_age_seconds', keys: by(['worker']) },
  { metric: 'shop_host_cpu_usage_ratio', keys: by([]) },
  { metric: 'shop_db_connections', keys: by(['state']) },
  { metric: 'shop_db_server_connections', keys: by([]) },
  { metric: 'http_requests_in_flight', keys: by([]) },
  { metric: 'shop_payments_unsettled', keys: by([]) },
  { metric: 'shop_visits_without_cookie_total', keys: by([]) },
];

/** As they are now. */
const WITHOUT_HISTORY: readonly Kept[] = [
  { metric: 'shop_errors_total', keys: by(['route', 'type']) },
  { metric: 'shop_db_operation_duration_seconds', keys: by(['operation', 'quantile', 'table']) },
  { metric: 'shop_db_connections_max', keys: by([]) },
  { metric: 'shop_db_server_connections', keys: by(['state']) },
  { metric: 'shop_db_server_connections_max', keys: by([]) },
  { metric: 'shop_db_up', keys: by([]) },
  { metric: 'shop_db_disk_full', keys: by([]) },
  { metric: 'shop_db_server_transactions_total', keys: by(['outcome']) },
  { metric: 'shop_db_server_rows_total', keys: by(['operation']) },
  { metric: 'shop_db_server_blocks_total', keys: by(['source']) },
  { metric: 'shop_db_server_deadlocks_total', keys: by([]) },
  { metric: 'shop_db_server_waiting_locks', keys: by([]) },
  { metric: 'shop_db_server_longest_transaction_seconds', keys: by([]) },
  { metric: 'shop_db_server_size_bytes', keys: by([]) },
  { metric: 'shop_catalogue_age_seconds', keys: by([]) },
  { metric: 'shop_metrics_series', keys: by([]) },
];

/** Of each worker alone. */
const OF_WORKER = ['nodejs_eventloop_lag_p99_seconds', 'nodejs_heap_size_used_bytes', 'process_resident_memory_bytes'];

/** Sums of samples, by key. */
class Sums {
  readonly #columnOf: (key: Key) => number;
  /** By the sample's name. The registry gives a sample the same object of labels each time. */
  readonly #columns = new Map<string, { readonly kept: Kept; readonly byLabels: WeakMap<Labels, readonly number[]> }>();
  #values = new Float64Array(0);

  constructor(kept: readonly Kept[], columnOf: (key: Key) => number) {
    this.#columnOf = columnOf;
    for (const each of kept) {
      this.#columns.set(each.metric + (each.suffix ?? ''), { kept: each, byLabels: new WeakMap() });
    }
  }

  /** @param size number of columns; more are made for new samples */
  begin(size: number): void {
    this.#values = new Float64Array(size).fill(Number.NaN);
  }

  add({ name, labels, value }: Sample): void {
    const found = this.#columns.get(name);
    if (!found) return;
    let columns = found.byLabels.get(labels);
    if (!columns) {
      columns = found.kept.keys(name, labels).map(this.#columnOf);
      found.byLabels.set(labels, columns);
    }
    for (const column of columns) this.#addTo(column, value);
  }

  set(key: Key, value: number): void {
    this.#addTo(this.#columnOf(key), value);
  }

  /** By column; NaN where no sample had a number. */
  get values(): Float64Array {
    return this.#values;
  }

  #addTo(column: number, value: number): void {
    if (column >= this.#values.length) {
      const wider = new Float64Array(column + 1).fill(Number.NaN);
      wider.set(this.#values);
      this.#values = wider;
    }
    const sum = this.#values[column] as number;
    this.#values[column] = Number.isNaN(sum) ? value : sum + value;
  }
}

/** The numbers of one reading. */
export interface Reading {
  /** By column of the history. */
  readonly values: Float64Array;
  /** Those without a history. */
  readonly latest: ReadonlyMap<Key, number>;
  /** How long requests took, by method, route and status; null if that was not asked for. */
  readonly durations: readonly NativeHistogram[] | null;
}

export interface ReadOptions {
  /** Whether to read how long requests took, which takes up to a sixth of the time. */
  withDurations: boolean;
}

export type Reader = (options: ReadOptions) => Promise<Reading>;

/**
 * Makes the function that reads all kept numbers, in one gathering of the registry.
 *
 * @param makeColumn gives each number its column in the history
 */
export function createReader(registry: ClusterRegistry, makeColumn: (key: Key) => number): Reader {
  const names = new Set([...IN_HISTORY, ...WITHOUT_HISTORY].map(({ metric }) => metric));
  const kept = new Sums(IN_HISTORY, makeColumn);
  const latestColumns = new Map<Key, number>();
  const latest = new Sums(WITHOUT_HISTORY, (key) => {
    const column = latestColumns.get(key) ?? latestColumns.size;
    latestColumns.set(key, column);
    return column;
  });
  let width = 0;

  /** A worker may end before it is read. */
  async function readWorker(worker: string): Promise<Sample[]> {
    try {
      return await registry.samples({ names: OF_WORKER, worker });
    } catch (error) {
      if (error instanceof RangeError) return [];
      throw error;
    }
  }

  return async function read({ withDurations }) {
    const workers = [...new Set(registry.workers().map(({ worker }) => worker))];
    const [all, durations, ...ofWorkers] = await Promise.all([
      registry.samples({ names }),
      withDurations ? registry.nativeHistograms({ names: [DURATION] }) : null,
      ...workers.map(readWorker),
    ]);
    kept.begin(width);
    latest.begin(latestColumns.size);
    for (const sample of all) {
      kept.add(sample);
      latest.add(sample);
    }
    for (const [i, samples] of ofWorkers.entries()) {
      for (const { name, value } of samples) kept.set(atWorker(name, Number(workers[i])), value);
    }
    width = kept.values.length;
    return {
      values: kept.values,
      latest: new Map(Array.from(latestColumns, ([key, column]) => [key, latest.values[column] as number])),
      durations,
    };
  };
}
