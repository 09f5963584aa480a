import { register } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { SummaryData } from '../../k6/lib/report.ts';
import { projectRoot } from '../../src/paths.ts';

/*
 * Runs a script of k6/ as k6 does, but for its scenario: setup, iterations one after the other, teardown, summary.
 *
 *     BASE_URL=… node --import tsx test/support/k6-run.ts load 5
 *
 * Prints the summary's JSON file. The scenario, the times and all thresholds but those of the books are left out.
 */

interface Script {
  options: { thresholds: Record<string, string[]> };
  setup(): unknown;
  default(data: unknown): void;
  teardown(data: unknown): void;
  handleSummary(data: SummaryData): Record<string, string>;
}

const [script = '', iterations = '1'] = process.argv.slice(2);
const standin = pathToFileURL(join(projectRoot, 'test/support/k6-standin.ts')).href;
register(
  `data:text/javascript,${encodeURIComponent(
    `export const resolve = (name, context, next) =>
       /^k6($|\\/)/.test(name) ? next(${JSON.stringify(standin)}, context) : next(name, context);`,
  )}`,
);
Object.assign(globalThis, { __ENV: { ...process.env, SHOP_SUMMARY: 'summary' } });

const { totals, forgetCookies }: typeof import('./k6-standin.ts') = await import(standin);
const {
  options,
  setup,
  teardown,
  handleSummary,
  default: iterate,
}: Script = await import(pathToFileURL(join(projectRoot, 'k6', `${script}.ts`)).href);

const opening: unknown = JSON.parse(JSON.stringify(setup()));
for (let left = Number(iterations); left > 0; left--) {
  forgetCookies();
  iterate(opening);
}
teardown(opening);

const metrics: SummaryData['metrics'] = {
  ...Object.fromEntries(Object.keys(options.thresholds).map((sum) => [sum, readSum(sum)])),
  checks: { values: totals.checks },
  iterations: { values: { count: Number(iterations) } },
  http_reqs: { values: { count: totals.requests } },
  unexpected: { values: { rate: rateOf('unexpected') } },
};
const { summary } = handleSummary({
  metrics,
  state: { testRunDurationMs: performance.now() },
  setup_data: opening as { products: Record<string, number> },
});
process.stdout.write(summary ?? '');

function rateOf(name: string): number {
  const { of, all } = totals.rates.get(name) ?? { of: 0, all: 1 };
  return of / all;
}

function readSum(sum: string): SummaryData['metrics'][string] {
  const count = totals.counts.get(sum) ?? 0;
  const holds: Record<string, boolean> = { 'count<=0': count <= 0, 'count>=0': count >= 0 };
  const limits = options.thresholds[sum] ?? [];
  return {
    values: { count },
    thresholds: Object.fromEntries(limits.map((limit) => [limit, { ok: holds[limit] ?? true }])),
  };
}
