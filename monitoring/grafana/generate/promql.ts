/*
 * Building blocks of the dashboards' expressions. Counters are summed over instances; gauges that are read from the database
 * have the same shop-wide value on each instance, so `max` is taken; summaries stay apart by instance, because quantiles
 * can't be averaged.
 */

/** The instances that the viewer has chosen. Every selector has it; the dashboard linter asks for it. */
const CHOSEN = 'job=~"$job",instance=~"$instance"';

/**
 * Routes for programs and files: they would dilute a failing checkout. The recording rules leave the same ones out.
 */
export const NOT_PAGES = '/livez|/metrics|/readyz|/static/.*|/[^/]+[.][a-z]+|unmatched';

/** Visitors' requests to the routes that the viewer has chosen. */
export const PAGES = `route=~"$route",route!~"${NOT_PAGES}"`;

/** Group of an instance's series that keep it apart from those of other instances. */
export const PER_INSTANCE = 'instance';

/**
 * A selector of the chosen instances.
 *
 * @param where more matchers, such as `state="active"`
 */
export function series(metric: string, where = ''): string {
  return `${metric}{${CHOSEN}${where && `,${where}`}}`;
}

/**
 * A metric that the targets of other jobs have too, of the shop alone. A shop that is down is known by its last hour.
 *
 * @param operation on its values, such as `== 1`
 */
export function ofShop(metric: string, operation = ''): string {
  const vector = `${series(metric)}${operation && ` ${operation}`}`;
  return `${vector} and on (job) last_over_time(${series('shop_build_info')}[1h])`;
}

/** How many instances answer Prometheus, or how many do not. */
export function countInstances(answering: boolean): string {
  return `${aggregate('count', ofShop('up', `== ${Number(answering)}`))} or vector(0)`;
}

/** Resident memory of all processes of each instance. */
export function instanceMemory(): string {
  return aggregate('sum', ofShop('process_resident_memory_bytes'), PER_INSTANCE);
}

interface Grouping {
  /** Labels that stay, separated by commas. */
  readonly by?: string;
  readonly where?: string;
}

/** Applies an aggregation such as `sum` or `max`. */
export function aggregate(operator: string, expression: string, by = ''): string {
  return `${operator}${by && ` by (${by})`} (${expression})`;
}

/** A counter's growth per second, summed over instances. */
export function sumRate(counter: string, { by = '', where = '' }: Grouping = {}): string {
  return aggregate('sum', `rate(${series(counter, where)}[$__rate_interval])`, by);
}

/**
 * A counter's growth over a window, summed over instances. Prometheus extrapolates it to the edges of the window, so it can
 * be a fraction.
 *
 * @param window `$__range` is the dashboard's period
 */
export function growth(counter: string, window: string, { by = '', where = '' }: Grouping = {}): string {
  return aggregate('sum', `increase(${series(counter, where)}[${window}])`, by);
}

/**
 * A quantile of a histogram over all chosen instances: of the native buckets where Prometheus has them, which are finer, or
 * else of the classic ones. @param by labels that stay, beside `le`
 */
export function quantile(q: number, histogram: string, grouping: Grouping = {}): string {
  return `${nativeQuantile(q, histogram, grouping)} or histogram_quantile(${q}, ${buckets(histogram, grouping)})`;
}

/** A quantile of a histogram that has native buckets alone. Without observations it is NaN, which is no point. */
export function nativeQuantile(q: number, histogram: string, grouping: Grouping = {}): string {
  return `histogram_quantile(${q}, ${sumRate(histogram, grouping)})`;
}

/** A histogram's buckets per second, summed over instances: the rows of a heatmap. */
export function buckets(histogram: string, { by = '', where = '' }: Grouping = {}): string {
  return sumRate(`${histogram}_bucket`, { by: by ? `${by}, le` : 'le', where });
}

/** Mean of a histogram or summary over all chosen instances: sum and count may be added up, quantiles may not. */
export function mean(metric: string, { by = '', where = '' }: Grouping = {}): string {
  return `${sumRate(`${metric}_sum`, { by, where })} / (${sumRate(`${metric}_count`, { by, where })} > 0)`;
}

/** A gauge that each instance reads from the database. */
export function shopWide(gauge: string, { by = '', where = '' }: Grouping = {}): string {
  return aggregate('max', series(gauge, where), by);
}

/** Growth per second of a counter that each instance reads from the database. */
export function shopWideRate(counter: string, { by = '', where = '' }: Grouping = {}): string {
  return aggregate('max', `rate(${series(counter, where)}[$__rate_interval])`, by);
}

/** Growth over a window of a counter that each instance reads from the database. */
export function shopWideGrowth(counter: string, window: string, { by = '', where = '' }: Grouping = {}): string {
  return aggregate('max', `increase(${series(counter, where)}[${window}])`, by);
}
