/** One of the metrics that the shop's owners asked for, as the page explains it. */
export interface TaughtMetric {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram' | 'summary';
  /** Its charts, see charts.ts. A histogram and a summary are drawn from their lines. */
  readonly charts: readonly string[];
  readonly promql: string;
  /** Shell command that makes it move; `$SHOP` is the shop's address. */
  readonly command: string;
}

const COOKIE = '-c visitor -b visitor';

export const SEVEN: readonly TaughtMetric[] = [
  {
    name: 'shop_cart_additions_total',
    kind: 'counter',
    charts: ['additionsTotal', 'additionsRate'],
    promql: 'sum by (product) (increase(shop_cart_additions_total[1h]))',
    command: `curl -s -o /dev/null ${COOKIE} -d quantity=2 $SHOP/add_to_cart/1`,
  },
  {
    name: 'shop_errors_total',
    kind: 'counter',
    charts: ['errorsTotal', 'errorsRate'],
    promql: 'sum by (type, route) (rate(shop_errors_total[5m])) > 0',
    command: 'curl -s -o /dev/null $SHOP/detail/9999',
  },
  {
    name: 'shop_active_cart_sessions',
    kind: 'gauge',
    charts: ['carts'],
    promql: 'max(shop_active_cart_sessions)',
    command: 'for i in 1 2 3; do curl -s -o /dev/null -d quantity=1 $SHOP/add_to_cart/$i; done',
  },
  {
    name: 'shop_cpu_usage_ratio',
    kind: 'gauge',
    charts: ['cpu'],
    promql: 'sum(shop_cpu_usage_ratio)',
    command: `curl -s -Z --no-progress-meter --parallel-max 10 -o /dev/null "$SHOP/shop?[1-2000]"`,
  },
  {
    name: 'shop_db_connections',
    kind: 'gauge',
    charts: ['connections'],
    promql: 'sum by (state) (shop_db_connections)',
    command: `curl -s -o /dev/null ${COOKIE} $SHOP/; curl -s -Z --no-progress-meter --parallel-max 60 -b visitor -o /dev/null "$SHOP/cart?[1-3000]"`,
  },
  {
    name: 'http_request_duration_seconds',
    kind: 'histogram',
    charts: [],
    promql: 'histogram_quantile(0.95, sum by (route, le) (rate(http_request_duration_seconds_bucket[5m])))',
    command: `for i in $(seq 24); do curl -s -o /dev/null ${COOKIE} $SHOP/detail/$i; done`,
  },
  {
    name: 'shop_db_operation_duration_seconds',
    kind: 'summary',
    charts: [],
    promql: 'max by (operation, table) (shop_db_operation_duration_seconds{quantile="0.95"})',
    command: `for i in $(seq 20); do curl -s -o /dev/null ${COOKIE} -d quantity=1 $SHOP/add_to_cart/$i; done`,
  },
];
