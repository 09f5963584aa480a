import { isDeepStrictEqual } from 'node:util';
import { number } from '../../packages/cluster-metrics/bench/table.ts';
import type { Bench, Comparison } from '../bench.ts';
import type { RecordedAnswer } from '../programs/bare-koa.ts';
import type { Goal, Part } from '../report.ts';
import { formatSpread } from '../statistics.ts';
import { type BrowserVisitor, createBrowserVisitor, type RawAnswer, textOf } from '../visitor.ts';

/** A page as the tables name it, and its path. */
export const PAGES = { home: '/', product: '/detail/1', list: '/shop' } as const;

const PAGE_GOAL = 0.5;
const FILE_GOAL = 0.7;

/** Pages, a static file and `/livez` against bare Koa that sends the same answers from memory. */
export async function measurePages(bench: Bench): Promise<Part> {
  const shop = await bench.shop();
  const pids = await shop.workers();
  const visitor = await visitorWithCart(shop.origin);
  const koa = bench.startProgram<RecordedAnswer, { port: number }>('bare-koa');
  const rows: string[][] = [];
  const goals: Goal[] = [];

  const pages = Object.entries(PAGES);
  const targets = [
    ...pages.map(([name, path]) => ({ name, path, accepted: 'gzip, deflate, br', goal: PAGE_GOAL })),
    ...pages.map(([name, path]) => ({ name, path, accepted: undefined, goal: PAGE_GOAL })),
    { name: 'static file', path: await stylesheet(visitor), accepted: 'gzip, deflate, br', goal: FILE_GOAL },
    { name: '/livez', path: '/livez', accepted: 'gzip, deflate, br', goal: undefined },
  ];
  const { port } = await koa.ask(recorded(await visitor.get(PAGES.home)));
  const koaOrigin = `http://127.0.0.1:${port}`;
  const warming = pages.map(([, path]) => ({ path, headers: visitor.headers() }));
  await bench.warmUp({ origin: koaOrigin, pids: [koa.pid], requests: warming });
  await bench.warmUp({ origin: shop.origin, pids, requests: warming });

  for (const { name, path, accepted, goal } of targets) {
    const answer = await visitor.get(path, { 'Accept-Encoding': accepted });
    await koa.ask(recorded(answer));
    await assertSameAnswer(koaOrigin, path, answer);

    const { 'Accept-Encoding': _, ...headers } = visitor.headers();
    const requests = [{ path, headers: { ...headers, ...(accepted && { 'Accept-Encoding': accepted }) } }];
    const comparison = await bench.compare(
      { origin: koaOrigin, pids: [koa.pid], requests },
      { origin: shop.origin, pids, requests },
    );
    const encoding = String(answer.headers['content-encoding'] ?? 'as it is');
    rows.push([name, encoding, String(answer.body.length), ...cells(comparison)]);
    if (goal !== undefined) {
      const { requestsPerSecond, requestsPerCpuSecond } = comparison.ratio;
      for (const [what, ratio] of [
        ['requests/s', requestsPerSecond],
        ['requests per CPU second', requestsPerCpuSecond],
      ] as const) {
        goals.push({
          figure: `${name}${accepted ? '' : ' without Accept-Encoding'}, to bare Koa, ${what}`,
          measured: formatSpread(ratio),
          goal: `≥ ${goal}`,
          reached: ratio.median >= goal,
        });
      }
    }
  }
  await koa.stop();
  return {
    title: 'Pages against bare Koa',
    about:
      'One worker, 10 connections. A visitor with a session and 2 items in the cart asks with the headers of a browser. Bare Koa is a process without middleware that sends the same status, headers and bytes from memory. The load, autocannon, needs about as much processor time for a request as bare Koa, so requests per second show the limit of the load too, which flatters the slower side. The goal therefore holds for two ratios: of requests a second, and of requests a second of the processor time of the serving process.',
    head: [
      'page',
      'encoding',
      'bytes',
      'bare Koa, requests/s',
      'shop, requests/s',
      'ratio of requests/s',
      'bare Koa, CPU µs a request',
      'shop, CPU µs a request',
      'ratio of requests per CPU second',
    ],
    rows,
    goals,
  };
}

/** Both sides' requests a second, both sides' microseconds of processor time for a request, and the ratios. */
export function cells({ base, measured, ratio }: Comparison): string[] {
  return [
    number(base.requestsPerSecond.median),
    number(measured.requestsPerSecond.median),
    formatSpread(ratio.requestsPerSecond),
    number(base.cpuMicros.median),
    number(measured.cpuMicros.median),
    formatSpread(ratio.requestsPerCpuSecond),
  ];
}

/** A visitor who has looked at two products and put both into the cart. */
export async function visitorWithCart(origin: string): Promise<BrowserVisitor> {
  const visitor = createBrowserVisitor(origin);
  for (const product of [1, 2]) {
    expectStatus(await visitor.get(`/detail/${product}`), 200);
    expectStatus(await visitor.post(`/add_to_cart/${product}`, { quantity: '1' }), 302);
  }
  // The page that shows the message of the last add, so that later ones are without it.
  expectStatus(await visitor.get('/cart'), 200);
  return visitor;
}

function expectStatus(answer: RawAnswer, status: number): void {
  if (answer.status !== status) throw new Error(`Expected status ${status}, got ${answer.status}: ${textOf(answer)}`);
}

/** Path of the stylesheet with its version, as a page names it. */
export async function stylesheet(visitor: BrowserVisitor): Promise<string> {
  const [, path] = /href="(\/static\/shop[^"]*\.css[^"]*)"/.exec(textOf(await visitor.get('/'))) ?? [];
  if (path === undefined) throw new Error('The home page names no stylesheet');
  return path;
}

/** Headers of the connection, and those that Node.js and Koa set by themselves. */
const NOT_RECORDED = new Set(['connection', 'keep-alive', 'date', 'transfer-encoding', 'content-length']);

function recordedHeaders(answer: RawAnswer): RecordedAnswer['headers'] {
  const headers: RecordedAnswer['headers'] = {};
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value !== undefined && !NOT_RECORDED.has(name)) headers[name] = value;
  }
  return headers;
}

function recorded(answer: RawAnswer): RecordedAnswer {
  expectStatus(answer, 200);
  return { status: answer.status, headers: recordedHeaders(answer), bodyBase64: answer.body.toString('base64') };
}

async function assertSameAnswer(origin: string, path: string, expected: RawAnswer): Promise<void> {
  const answer = await createBrowserVisitor(origin).get(path);
  const isSame =
    answer.status === expected.status &&
    answer.body.equals(expected.body) &&
    isDeepStrictEqual(recordedHeaders(answer), recordedHeaders(expected));
  if (!isSame) throw new Error(`Bare Koa's answer to ${path} differs from the shop's`);
}
