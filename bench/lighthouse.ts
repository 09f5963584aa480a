/*
 * `npm run lighthouse`: prints Lighthouse's scores of a shop of its own in production mode, on a simulated phone and a
 * simulated desktop, and exits with 1 if a goal is missed. `npm run lighthouse -- home live` measures these pages alone.
 *
 * Lighthouse is no dependency of the project, and its newest version needs a newer Node.js. Both are installed into a
 * temporary folder, unless the variable LIGHTHOUSE names a folder whose `node_modules` have Lighthouse. Needs Debian's
 * Chromium, or the browser that the variable CHROMIUM names.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ReleaseStack } from '../src/cluster/release.ts';
import { runWithResources } from './resources.ts';
import { startShop } from './shop.ts';
import { createBrowserVisitor } from './visitor.ts';

const LIGHTHOUSE = 'lighthouse@13.5.0';
/** It needs Node.js 22.19. Where this is older than 24, 24 is installed beside it. */
const MAJOR_NEEDED = 24;
const NODE = `node-${process.platform}-${process.arch}@24`;

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Chromium's sandbox does not start for root, as in CI. */
const FLAGS = '--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update';

const CATEGORIES = ['performance', 'accessibility', 'best-practices', 'seo'] as const;
type Scores = Record<(typeof CATEGORIES)[number], number>;
/** A category without a goal is not shown. */
type Goals = Partial<Scores>;

const ALL: Goals = { performance: 100, accessibility: 100, 'best-practices': 100, seo: 100 };
/** Of pages that search engines must not list. */
const NOT_LISTED: Goals = { performance: 98, accessibility: 100, 'best-practices': 100 };

const DEVICES = { phone: [], desktop: ['--preset=desktop'] } as const;

/** Other work on the machine only lowers the performance, so the best of these runs counts. */
const MOST_RUNS = 3;

interface Report {
  runtimeError?: { message: string };
  categories: Record<string, { score: number | null; auditRefs: { id: string; weight: number }[] }>;
  audits: Record<string, { title: string; score: number | null; displayValue?: string }>;
}

const [, , ...wanted] = process.argv;
const run = promisify(execFile);
await runWithResources(async (resources) => {
  process.exitCode = (await measureAll(resources)) ? 0 : 1;
});

/** @returns whether every goal is reached */
async function measureAll(resources: ReleaseStack): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'fake-shop-lighthouse-'));
  resources.add(folder, () => rm(folder, { recursive: true, force: true }));
  const lighthouse = await findLighthouse(join(folder, 'lighthouse'));
  const shop = await startShop(folder, resources, { workers: 2, env: { NODE_ENV: 'production' } });
  const shopper = createBrowserVisitor(shop.origin);
  await shopper.post('/add_to_cart/1', { quantity: '2' });
  const headers = join(folder, 'headers.json');
  await writeFile(headers, JSON.stringify({ Cookie: shopper.headers().Cookie }));
  const withCart = [`--extra-headers=${headers}`];

  const pages = [
    { name: 'home', url: `${shop.origin}/`, goals: ALL, options: [] },
    { name: 'product', url: `${shop.origin}/detail/1`, goals: ALL, options: [] },
    { name: 'list', url: `${shop.origin}/shop`, goals: ALL, options: [] },
    { name: 'cart', url: `${shop.origin}/cart`, goals: NOT_LISTED, options: withCart },
    { name: 'checkout', url: `${shop.origin}/checkout`, goals: NOT_LISTED, options: withCart },
    { name: 'live', url: `${shop.opsOrigin}/`, goals: NOT_LISTED, options: [] },
  ];
  const unknown = wanted.filter((name) => !pages.some((page) => page.name === name));
  if (unknown.length > 0) {
    throw new Error(`There is no page ${unknown.join()}: choose from ${pages.map(({ name }) => name).join(', ')}`);
  }
  console.log(`| page | device | ${CATEGORIES.join(' | ')} |\n| --- | --- |${' ---: |'.repeat(CATEGORIES.length)}`);
  const misses: string[] = [];
  for (const { name, url, goals, options } of pages) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    for (const [device, ofDevice] of Object.entries(DEVICES)) {
      const { scores, faults } = await measure([url, ...options, ...ofDevice], goals);
      const cells = CATEGORIES.map((category) => (goals[category] === undefined ? '–' : scores[category]));
      console.log(`| ${name} | ${device} | ${cells.join(' | ')} |`);
      if (faults.length > 0) misses.push(`${name} on a ${device}: ${faults.join('; ')}`);
    }
  }
  console.log(misses.length === 0 ? '\nEvery goal is reached.' : `\nGoals that are missed:\n${misses.join('\n')}`);
  return misses.length === 0;

  async function measure(args: readonly string[], goals: Goals): Promise<{ scores: Scores; faults: string[] }> {
    let best: { scores: Scores; faults: string[] } | undefined;
    let failure: unknown;
    for (let i = 0; i < MOST_RUNS && best?.faults.length !== 0; i++) {
      try {
        const report = await reportOf(args);
        const scores = scoresOf(report);
        if (best && best.scores.performance >= scores.performance) continue;
        best = { scores, faults: faultsOf(report, scores, goals) };
      } catch (error) {
        // At times Chromium's trace lacks the page's beginning. The next run has it.
        failure = error;
      }
    }
    if (!best) throw failure;
    return best;
  }

  async function reportOf(args: readonly string[]): Promise<Report> {
    const file = join(folder, 'report.json');
    await lighthouse([...args, '--quiet', '--output=json', `--output-path=${file}`, `--chrome-flags=${FLAGS}`]);
    const report = JSON.parse(await readFile(file, 'utf8')) as Report;
    if (report.runtimeError) throw new Error(report.runtimeError.message);
    return report;
  }
}

function scoresOf({ categories }: Report): Scores {
  const scoreOf = (category: string) => Math.round((categories[category]?.score ?? 0) * 100);
  return Object.fromEntries(CATEGORIES.map((category) => [category, scoreOf(category)])) as Scores;
}

/** What keeps the page from its goals, a text for each. */
function faultsOf({ categories, audits }: Report, scores: Scores, goals: Goals): string[] {
  const missed = CATEGORIES.filter((category) => scores[category] < (goals[category] ?? 0));
  return missed.flatMap((category) => {
    const failed = (categories[category]?.auditRefs ?? []).flatMap(({ id, weight }) => {
      const { title = id, score = 1, displayValue = '' } = audits[id] ?? {};
      return weight > 0 && score !== null && score < 1 ? [`${title} ${displayValue}`.trim()] : [];
    });
    return `${category} ${scores[category]} instead of ${goals[category]}: ${failed.join(', ')}`;
  });
}

/**
 * @param folder to install it into, if the environment names none
 * @returns runs Lighthouse's command
 */
async function findLighthouse(folder: string): Promise<(args: readonly string[]) => Promise<void>> {
  const given = process.env.LIGHTHOUSE;
  const modules = join(given ?? folder, 'node_modules');
  const isNewEnough = Number.parseInt(process.versions.node, 10) >= MAJOR_NEEDED;
  if (!given) {
    await mkdir(folder);
    console.error(`installing ${LIGHTHOUSE}`);
    const packages = [LIGHTHOUSE, ...(isNewEnough ? [] : [NODE])];
    const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--no-engine-strict', '--loglevel=error'];
    // Not here, where npm would take the project's own settings.
    await run('npm', ['install', '--prefix', folder, ...options, ...packages], { cwd: folder });
  }
  const installed = join(modules, NODE.split('@', 1)[0] as string, 'bin/node');
  const node = existsSync(installed) ? installed : process.execPath;
  const program = join(modules, 'lighthouse/cli/index.js');
  const options = ['--only-categories', CATEGORIES.join(), '--max-wait-for-load=20000', '--no-enable-error-reporting'];
  return async function lighthouse(args) {
    await run(node, [program, ...options, ...args], { env: { ...process.env, CHROME_PATH: CHROMIUM } });
  };
}
