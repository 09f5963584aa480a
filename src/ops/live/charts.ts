import { ORDER_OUTCOMES, POOL_STATES, SPENT } from '../../instrument/label-values.ts';
import type { Format } from './format.ts';
import {
  allAdditions,
  atWorker,
  CHECKOUT,
  connections,
  conversion,
  cpu,
  duration,
  errors,
  increase,
  orders,
  paidOrders,
  people,
  quantile,
  rate,
  requests,
  requestTime,
  revenue,
  series,
  withCart,
} from './keys.ts';
import type { Key, Structure } from './model.ts';

/** How a chart draws its lines. Stairs keep each value until the next; a stack adds them up. */
export type ChartKind = 'line' | 'stack' | 'stairs';

export interface ChartLine {
  readonly key: Key;
  /** A key of the texts, or a word of the metrics where the texts have none. */
  readonly label: string;
  /** Colour `--line-1` to `--line-6`, `--line-limit` or `--line-bad`. */
  readonly tone: 1 | 2 | 3 | 4 | 5 | 6 | 'limit' | 'bad';
}

export interface Chart {
  /** Also the key of its title in the texts. */
  readonly id: string;
  readonly kind: ChartKind;
  readonly format: Format;
  readonly lines: readonly ChartLine[];
}

const OUTCOME_TONES = { paid: 2, declined: 4, out_of_stock: 3, failed: 'bad' } as const;
const SPENT_TONES = { app: 1, db: 3, db_wait: 5, payment: 4 } as const;
const STATE_TONES = { active: 1, idle: 2, pending: 'bad' } as const;

/** The charts of the five headline numbers. */
const HEADLINES: readonly (readonly [id: string, key: Key, format: Format])[] = [
  ['people', people, 'count'],
  ['carts', withCart, 'count'],
  ['orders', increase(paidOrders, '1h'), 'count'],
  ['revenue', increase(revenue, '1h'), 'brl'],
  ['conversion', conversion, 'percent'],
];

/** Every chart of the page but the small ones in the table of routes. */
export function charts(workers: number): Chart[] {
  const places = Array.from({ length: workers }, (_, index) => index + 1);
  const perWorker = (name: string) =>
    places.map((place) => ({ key: atWorker(name, place), label: String(place), tone: toneOf(place) }));
  return [
    ...HEADLINES.map(
      ([id, key, format]): Chart => ({ id, kind: 'line', format, lines: [{ key, label: id, tone: 1 }] }),
    ),
    {
      id: 'orderOutcomes',
      kind: 'stack',
      format: 'perMinute',
      lines: ORDER_OUTCOMES.map((outcome) => ({
        key: rate(orders(outcome)),
        label: outcome,
        tone: OUTCOME_TONES[outcome],
      })),
    },
    timeSpent('checkoutTime', CHECKOUT),
    {
      id: 'requests',
      kind: 'line',
      format: 'perSecond',
      lines: [
        { key: rate(requests()), label: 'requestsRate', tone: 1 },
        { key: rate(errors()), label: 'errorsRate', tone: 'bad' },
      ],
    },
    {
      id: 'latency',
      kind: 'line',
      format: 'seconds',
      lines: [
        { key: quantile(0.5, duration(), '10s'), label: 'p50', tone: 1 },
        { key: quantile(0.95, duration(), '10s'), label: 'p95', tone: 3 },
      ],
    },
    timeSpent('requestTime'),
    {
      id: 'cpu',
      kind: 'line',
      format: 'cores',
      lines: [
        { key: cpu('primary'), label: 'primary', tone: 'limit' },
        ...places.map((place) => ({ key: cpu(String(place)), label: String(place), tone: toneOf(place) })),
      ],
    },
    { id: 'lag', kind: 'line', format: 'seconds', lines: perWorker('nodejs_eventloop_lag_p99_seconds') },
    { id: 'memory', kind: 'line', format: 'bytes', lines: perWorker('process_resident_memory_bytes') },
    {
      id: 'connections',
      kind: 'stack',
      format: 'count',
      lines: POOL_STATES.map((state) => ({ key: connections(state), label: state, tone: STATE_TONES[state] })),
    },
    counter('additionsTotal', allAdditions),
    rateOf('additionsRate', allAdditions),
    counter('errorsTotal', errors()),
    rateOf('errorsRate', errors()),
  ];
}

/** Charts of one route of the shop. */
export function routeChart(route: string): Chart {
  return {
    id: 'route',
    kind: 'line',
    format: 'perSecond',
    lines: [{ key: rate(requests(route)), label: 'requestsRate', tone: 1 }],
  };
}

/** Seconds that requests spend each second: how many requests are in that state at once, on average. */
function timeSpent(id: string, route?: string): Chart {
  return {
    id,
    kind: 'stack',
    format: 'parallel',
    lines: SPENT.map((spent) => ({
      key: rate(requestTime(spent, route)),
      label: `spent.${spent}`,
      tone: SPENT_TONES[spent],
    })),
  };
}

/** A counter as it is: stairs that only rise. */
function counter(id: string, key: Key): Chart {
  return { id, kind: 'stairs', format: 'count', lines: [{ key, label: 'value', tone: 1 }] };
}

/** The slope of a counter. */
function rateOf(id: string, key: Key): Chart {
  return { id, kind: 'line', format: 'perMinute', lines: [{ key: rate(key), label: 'slope', tone: 2 }] };
}

function toneOf(place: number): 1 | 2 | 3 | 4 | 5 | 6 {
  return (((place - 1) % 6) + 1) as 1 | 2 | 3 | 4 | 5 | 6;
}

/** The keys of every course that the page draws. The frames have all of them, too, so that a course can grow. */
export function courseKeys({ routes, workers }: Pick<Structure, 'routes' | 'workers'>): Key[] {
  const drawn = charts(workers).flatMap(({ lines }) => lines);
  const keys = [
    ...drawn.map(({ key }) => key),
    ...routes.flatMap((route) => [
      rate(requests(route)),
      ...[0.5, 0.95].map((q) => quantile(q, duration(route), '10s')),
    ]),
    series('shop_host_cpu_usage_ratio'),
  ];
  return [...new Set(keys)];
}
