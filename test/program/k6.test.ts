import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Report } from '../../k6/lib/report.ts';
import { projectRoot } from '../../src/paths.ts';
import { startCluster } from '../support/cluster.ts';
import { type Passing, startHttpProxy } from '../support/http-proxy.ts';

/** For a machine that is so busy that pages are answered with 503, and asked for again. */
const DEADLINE_MS = 200_000;

/** Plays a script's shoppers one after the other, without k6: see test/support/k6-run.ts. */
async function play(script: string, iterations: number, env: Record<string, string>): Promise<Report> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', join(projectRoot, 'test/support/k6-run.ts'), script, String(iterations)],
    { cwd: projectRoot, env: { ...process.env, SHOP_THINK: '0', ...env }, timeout: DEADLINE_MS },
  );
  return JSON.parse(stdout);
}

test("the journeys of k6's scripts know the shop's pages, and their books balance with its metrics alone", async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const env = { BASE_URL: shop.shopUrl, SHOP_METRICS_URL: `${shop.opsUrl}/metrics` };

  const tour = await play('smoke', 1, env);
  assert.equal(tour.failedChecks, 0);
  assert.equal(tour.passed, true, JSON.stringify(tour.books?.lines));
  const counted = new Set(tour.books?.lines.flatMap(({ book, entry, shop }) => (shop > 0 ? `${book} ${entry}` : [])));
  for (const entry of [
    'orders paid',
    'orders declined',
    'payments card approved',
    'payments card declined',
    'payments pix approved',
    'payments pix expired',
    'errors validation',
    'errors not_found',
    'errors payment_declined',
    'requests GET unmatched 404',
  ]) {
    assert.ok(counted.has(entry), `${entry} in ${[...counted]}`);
  }

  for (const [script, iterations] of [
    ['checkout', 2],
    ['load', 3],
  ] as const) {
    const report = await play(script, iterations, env);
    assert.equal(report.failedChecks, 0, script);
    assert.equal(report.passed, true, `${script}: ${JSON.stringify(report.books?.lines)}`);
  }

  // As if another instance had served just as many other shoppers.
  const twice = { ...env, SHOP_METRICS_URL: `${env.SHOP_METRICS_URL},${env.SHOP_METRICS_URL}` };
  const disturbed = await play('checkout', 1, twice);
  assert.equal(disturbed.passed, false);
  assert.equal(disturbed.books?.isBalanced, false);
  const forms = disturbed.books?.lines.find(({ entry }) => entry === 'GET /checkout 200');
  assert.equal(forms?.shop, 2 * (forms?.most ?? Number.NaN));
  assert.equal(forms?.isBalanced, false);
});

const BY_PIX = /\bpayment_method=pix\b/;
/** A balancer's own error: it has no id of the shop. */
const BALANCERS = { status: 503 };

test('a Pix that is paid before its answer is seen is booked as a Pix, and not paid again', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  let isPaid = false;
  const url = await startHttpProxy(t, shop.shopUrl, async (passing, pass) => {
    const isCheckout = passing.method === 'POST' && passing.path === '/checkout';
    if (isPaid || !isCheckout || !BY_PIX.test(String(passing.body))) return pass(passing);
    isPaid = true;
    const { headers = [] } = await pass(passing);
    const pix = headers[headers.indexOf('Location') + 1] ?? '';
    await pass({ ...simulationOf(passing, pix), body: Buffer.from('outcome=paid') });
    return BALANCERS;
  });
  const env = { BASE_URL: url, SHOP_METRICS_URL: `${shop.opsUrl}/metrics` };
  const { books } = await play('smoke', 1, env);
  const lines = books?.lines.filter(({ book }) => book === 'orders' || book === 'payments') ?? [];
  assert.ok(
    lines.every(({ isBalanced }) => isBalanced),
    JSON.stringify(lines),
  );
  const paid = lines.filter(({ entry, shop: counted }) => / approved$/.test(entry) && counted > 0);
  assert.deepEqual(paid.map(({ entry, shop: counted }) => [entry, counted]).sort(), [
    ['card approved', 1],
    ['pix approved', 1],
  ]);
});

function simulationOf({ method, headers }: Passing, pix: string): Omit<Passing, 'body'> {
  const { 'content-length': _, ...others } = headers;
  return { method, path: `${pix}/simulation`, headers: { ...others, 'content-length': '12' } };
}

test('requests that a balancer answers with an error are booked as uncertain', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  let requests = 0;
  // From the first form on, each third request is refused; each sixth was answered by the shop before.
  const url = await startHttpProxy(t, shop.shopUrl, async (passing, pass) => {
    if (requests > 0 || passing.method === 'POST') requests += 1;
    if (requests === 0 || requests % 3 !== 0) return pass(passing);
    if (requests % 6 === 0) await pass(passing);
    return BALANCERS;
  });
  const env = { BASE_URL: url, SHOP_METRICS_URL: `${shop.opsUrl}/metrics` };
  const { books } = await play('checkout', 2, env);
  assert.ok(books?.isBalanced, JSON.stringify(books?.lines));
  assert.ok(books.lines.some(({ least, most }) => least < most));
});
