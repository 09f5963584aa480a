import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { parse } from 'yaml';
import { projectRoot } from '../../src/paths.ts';
import { whenDone } from './wait.ts';

/**
 * The series that k6 writes to Prometheus, so that no test needs k6. Metrics and their types are those of
 * `metrics/builtin.go`, labels the default ones of `metrics/system_tag.go`, suffixes and units those of
 * `internal/output/prometheusrw/remotewrite`, all of https://github.com/grafana/k6.
 */

type Labels = Readonly<Record<string, string>>;

const SCENARIO = { scenario: 'shoppers' };
const request = (name: string, method: string, status: string, expected = true): Labels => ({
  ...SCENARIO,
  name,
  // k6 makes the address the name where the script gives one.
  url: name,
  method,
  status,
  proto: 'HTTP/1.1',
  expected_response: String(expected),
});

/** Some requests of the scripts, which name each after its route. */
const REQUESTS: readonly Labels[] = [
  request('GET /', 'GET', '200'),
  request('POST /checkout', 'POST', '302'),
  request('GET /order_confirmation/:number', 'GET', '200'),
  request('POST /checkout', 'POST', '422'),
  { ...request('GET /cart', 'GET', '503', false), error_code: '1503' },
];
const ITERATIONS: readonly Labels[] = [SCENARIO];

const COUNTERS: Readonly<Record<string, readonly Labels[]>> = {
  http_reqs: REQUESTS,
  iterations: ITERATIONS,
  data_sent: ITERATIONS,
  data_received: ITERATIONS,
};
const GAUGES = ['vus', 'vus_max'];
const RATES: Readonly<Record<string, readonly Labels[]>> = {
  http_req_failed: REQUESTS,
  unexpected: [SCENARIO],
  checks: [
    { ...SCENARIO, check: 'the cart holds what was added' },
    { ...SCENARIO, check: 'the order is confirmed' },
  ],
};
const TRENDS: Readonly<Record<string, readonly Labels[]>> = {
  iteration_duration: ITERATIONS,
  ...Object.fromEntries(
    ['duration', 'blocked', 'connecting', 'tls_handshaking', 'sending', 'waiting', 'receiving'].map((part) => [
      `http_req_${part}`,
      REQUESTS,
    ]),
  ),
};

/** The statistics of trends that docker-compose.yml asks k6 for: `p(95)` becomes the suffix `p95`. */
function trendSuffixes(): string[] {
  const { services } = parse(readFileSync(join(projectRoot, 'docker-compose.yml'), 'utf8'), { merge: true });
  const statistics: string = services.k6.environment.K6_PROMETHEUS_RW_TREND_STATS;
  return statistics.split(',').map((statistic) => statistic.replace(/[().]/g, ''));
}

/**
 * The series of a test under the settings of docker-compose.yml.
 *
 * @param seconds since its start: counters grow with them
 */
export function k6Series(seconds: number): { metric: string; labels: Labels; value: number }[] {
  const of = (metrics: typeof COUNTERS, suffix: string, value: number) =>
    Object.entries(metrics).flatMap(([metric, series]) =>
      series.map((labels) => ({ metric: `k6_${metric}_${suffix}`, labels, value })),
    );
  return [
    ...GAUGES.map((metric) => ({ metric: `k6_${metric}`, labels: {}, value: 10 })),
    ...of(COUNTERS, 'total', Math.floor(10 * seconds)),
    ...of(RATES, 'rate', 0.9),
    ...trendSuffixes().flatMap((suffix) => of(TRENDS, suffix, 0.05)),
  ];
}

/** Serves the series of a test that has just begun. Ends with the test. @returns its address, for a scrape */
export async function startK6Page(t: TestContext): Promise<string> {
  const start = performance.now();
  const server = createServer((_, response) => {
    const lines = k6Series((performance.now() - start) / 1000).map(({ metric, labels, value }) => {
      const pairs = Object.entries(labels).map(([name, text]) => `${name}=${JSON.stringify(text)}`);
      return `${metric}{${pairs}} ${value}\n`;
    });
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(lines.join(''));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenDone(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
