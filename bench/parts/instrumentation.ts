import { number } from '../../packages/cluster-metrics/bench/table.ts';
import { keptSessionKeys } from '../../src/cluster/session-keys.ts';
import { WORKER_EXEC_ARGV } from '../../src/cluster/worker-process.ts';
import type { Bench, Comparison } from '../bench.ts';
import type { PlainShopOptions } from '../programs/plain-shop.ts';
import type { Goal, Part } from '../report.ts';
import { formatSpread, spreadOf } from '../statistics.ts';
import { PAGES, visitorWithCart } from './pages.ts';

const THROUGHPUT_GOAL = 0.9;
const P99_GOAL = 1.05;
const MICROS_GOAL = 6;

/** The pages of the application with its instrumentation against those of the same application without. */
export async function measureInstrumentation(bench: Bench): Promise<Part> {
  const shop = await bench.shop();
  const shared = { connection: await shop.database(), sessionKeys: await keptSessionKeys(shop.dataDir) };
  const headers = (await visitorWithCart(shop.origin)).headers();

  async function start(instrumented: boolean) {
    const program = bench.startProgram<PlainShopOptions, { port: number }>('plain-shop', WORKER_EXEC_ARGV);
    const { port } = await program.ask({ ...shared, instrumented });
    return { origin: `http://127.0.0.1:${port}`, pids: [program.pid], stop: program.stop };
  }

  const { pairs } = bench.effort;
  const pages = Object.entries(PAGES).map(([name, path]) => {
    return { name, requests: [{ path, headers }], comparisons: [] as Comparison[] };
  });
  const all = pages.flatMap(({ requests }) => requests);
  for (let i = 0; i < pairs; i++) {
    const off = await start(false);
    const on = await start(true);
    for (const side of [off, on]) await bench.warmUp({ ...side, requests: all });
    for (const { requests, comparisons } of pages) {
      comparisons.push(await bench.compare({ ...off, requests }, { ...on, requests }, { rounds: 1 }));
    }
    await Promise.all([off.stop(), on.stop()]);
  }

  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const { name, comparisons } of pages) {
    const over = (figure: (comparison: Comparison) => number) => spreadOf(comparisons.map(figure));
    const moreCpuMicros = over((comparison) => comparison.moreCpuMicros.median);
    const requestsPerSecond = over(({ ratio }) => ratio.requestsPerSecond.median);
    const requestsPerCpuSecond = over(({ ratio }) => ratio.requestsPerCpuSecond.median);
    const p99 = over(({ ratio }) => ratio.p99.median);
    rows.push([
      name,
      number(over(({ base }) => base.cpuMicros.median).median),
      number(over(({ measured }) => measured.cpuMicros.median).median),
      formatSpread(moreCpuMicros),
      formatSpread(requestsPerSecond),
      formatSpread(requestsPerCpuSecond),
      formatSpread(p99),
    ]);
    for (const [what, ratio] of [
      ['requests/s', requestsPerSecond],
      ['requests per CPU second', requestsPerCpuSecond],
    ] as const) {
      goals.push({
        figure: `${name}, instrumented to not, ${what}`,
        measured: formatSpread(ratio),
        goal: `≥ ${THROUGHPUT_GOAL}`,
        reached: ratio.median >= THROUGHPUT_GOAL,
      });
    }
    goals.push({
      figure: `${name}, cost of the instrumentation, CPU µs a request`,
      measured: formatSpread(moreCpuMicros),
      goal: `≤ ${MICROS_GOAL}`,
      reached: moreCpuMicros.median <= MICROS_GOAL,
    });
    goals.push({
      figure: `${name}, instrumented to not, p99`,
      measured: formatSpread(p99),
      goal: `≤ ${P99_GOAL}`,
      reached: p99.median <= P99_GOAL,
    });
  }
  return {
    title: 'Instrumentation',
    about: `Two processes that differ only in this: one has no \`timeRequests\` and measures no queries, and the counts of the shop itself stay in its memory; the other measures all and writes it crash-safely into its file. Both use the same database, have the V8 flags of a worker, and get the requests of a browser with a session and 2 items in the cart. By the accidents of its memory and its compiler, one process may be a tenth slower than the next, so both are started anew for each comparison; the spread is that over the comparisons (${pairs}).`,
    head: [
      'page',
      'without, CPU µs',
      'with, CPU µs',
      'difference, µs',
      'ratio of requests/s',
      'ratio of requests per CPU second',
      'ratio of p99',
    ],
    rows,
    goals,
  };
}
