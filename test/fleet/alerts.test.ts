import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from '../../src/paths.ts';
import { startOwnServer } from '../long/faults/server.ts';
import { type Receiver, startAlertmanager, startReceiver } from '../support/alertmanager.ts';
import { fillShelf } from '../support/buyers.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { openPool } from '../support/database.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { startProxy } from '../support/proxy.ts';
import { quicken } from '../support/quick-rules.ts';
import { PATIENT } from '../support/test-server.ts';
import { atCheckout, CUSTOMER } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';
import { FAULTS, type Fault, type Scene } from './faults.ts';

/*
 * Real faults in a real shop. Each makes its alerts fire in a real Prometheus, with the shipped rules, and arrive through a
 * real Alertmanager, with the shipped routes, at a receiver; and all of them resolve when the fault is over. Only durations
 * are shorter, all by one factor.
 */

/** An hour is a minute. */
const FACTOR = 60;
const SCRAPE_INTERVAL = '500ms';
const SHOPPERS = 12;
const MOST_SHOPPERS = 24;
/** A purchase of each shopper begins as often, so faults change the number of pages little, and no pool is exhausted without one. */
const PACE_MS = 2_000;

const monitoring = (path: string) => readFileSync(join(projectRoot, 'monitoring', path), 'utf8');

interface FullScene extends Scene {
  readonly receiver: Receiver;
}

async function startScene(t: TestContext): Promise<FullScene> {
  const server = await startOwnServer(t);
  await fillShelf(server.url);
  const network = await startProxy(t, server.url);
  // A worker that is stopped stays: the alert is to see it before the primary kills it. Few shoppers exhaust small pools.
  const env = { WORKER_HANG_SECONDS: '60', DB_POOL_MAX: '4' };
  const shop = await startCluster(t, { workers: 2, database: network, env });
  const receiver = await startReceiver(t);
  const routes = monitoring('alertmanager/alertmanager.yml').replaceAll('http://127.0.0.1:9095', receiver.url);
  const alertmanager = await startAlertmanager(t, quicken(routes, FACTOR));
  const instance = new URL(shop.opsUrl).host;
  const prometheus = await startPrometheus(t, {
    config: {
      global: { scrape_interval: SCRAPE_INTERVAL, evaluation_interval: SCRAPE_INTERVAL },
      rule_files: ['rules/*.yml'],
      alerting: { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] },
      // Not the job's name in the shipped configuration: no rule depends on it.
      scrape_configs: [{ job_name: 'any', file_sd_configs: [{ files: ['targets.json'] }] }],
    },
    files: {
      'rules/alerts.yml': quicken(monitoring('prometheus/rules/alerts.yml'), FACTOR),
      'rules/recording.yml': quicken(monitoring('prometheus/rules/recording.yml'), FACTOR),
      'targets.json': [{ targets: [instance] }],
    },
  });
  await prometheus.scraped([instance]);
  return {
    t,
    server,
    network,
    shop,
    // A lock of a fault lasts as long as the fault.
    knex: openPool(
      t,
      { url: server.url },
      { poolMax: 4, deadlines: { ...PATIENT, idleInTransaction: FIRES_WITHIN_MS } },
    ),
    prometheus,
    receiver,
    instance,
    target: (instances, labels = {}) => prometheus.write('targets.json', [{ targets: instances, labels }]),
  };
}

/**
 * Shoppers browse and buy until the test ends. How the shop answers under a fault is not what is looked at.
 *
 * @returns sets how many there are from now on, {@link MOST_SHOPPERS} at most
 */
function startShopping(t: TestContext, shop: RunningCluster): (count: number) => void {
  let isOver = false;
  let shoppers = SHOPPERS;
  async function shopOn(place: number): Promise<void> {
    await sleep((place * PACE_MS) / SHOPPERS);
    while (!isOver) {
      const next = sleep(PACE_MS);
      try {
        if (place >= shoppers) continue;
        const { shopper, hidden } = await atCheckout(shop);
        await shopper.get('/cart');
        await shopper.post('/checkout', { ...CUSTOMER, ...hidden });
      } catch {
        // The fault is on.
      } finally {
        await next;
      }
    }
  }
  const shopping = Promise.all(Array.from({ length: MOST_SHOPPERS }, (_, place) => shopOn(place)));
  whenDone(t, async () => {
    isOver = true;
    await shopping;
  });
  return (count) => {
    shoppers = count;
  };
}

/** `all`, or a part of the names of faults. Default: the short ones. */
const { ALERTS = '' } = process.env;
const chosen = FAULTS.filter(({ name, short }) => (ALERTS ? ALERTS === 'all' || name.includes(ALERTS) : short));

const FIRES_WITHIN_MS = 120_000;
/** Rates, ratios and routes look back for up to 30 s. */
const RESOLVES_WITHIN_MS = 150_000;
/** The short one of the longest windows is 6 hours, which are 360 s. */
const LONG_WINDOWS_RESOLVE_WITHIN_MS = 600_000;
const LONG_WINDOWS_FIRE_WITHIN_MS = 300_000;

/** An alert with several windows is named with its window, as in {@link FAULTS}. */
const nameOf = ({ alertname, window }: Record<string, string>) => (window ? `${alertname} over ${window}` : alertname);

test('each fault fires its alerts, which arrive at the receiver and resolve when it is over', async (t) => {
  const scene = await startScene(t);
  const setShoppers = startShopping(t, scene.shop);
  await until('pages are counted', async () => (await scene.prometheus.value('shop:page_requests:rate5m')) > 0);

  const lasting: Promise<void>[] = [];
  for (const fault of chosen) {
    // Failing and slow pages would keep the alerts of long windows.
    if (!fault.later && !fault.unnoticed) await Promise.all(lasting);
    setShoppers(fault.shoppers ?? SHOPPERS);
    lasting.push(...(await rehearse(t, scene, fault)));
  }
  await Promise.all(lasting);
});

/** @returns the alerts of long windows are to resolve yet */
async function rehearse(t: TestContext, scene: FullScene, fault: Fault): Promise<Promise<void>[]> {
  const { name, alerts, later, begin } = fault;
  const { shop, prometheus, receiver } = scene;
  await until('all workers serve', async () => (await shop.status()).workers.every(({ state }) => state === 'serving'));
  const names = [...alerts, ...(later?.alerts ?? [])].map((alert) => alert.replace(/ over .*/, ''));
  await until(
    `${name}: its alerts are silent before`,
    async () => (await prometheus.query(`ALERTS{alertname=~"${names.join('|')}"}`)).length === 0,
    LONG_WINDOWS_RESOLVE_WITHIN_MS,
  );

  const before = receiver.notifications.length;
  const notified = (alert: string) =>
    receiver.notifications.slice(before).filter(({ labels }) => nameOf(labels) === alert);
  const isFiring = (alert: string) => notified(alert).some(({ status }) => status === 'firing');
  const isResolved = (alert: string) => notified(alert).at(-1)?.status === 'resolved';
  const startedMs = performance.now();
  async function arrive(expected: readonly string[], status: 'firing' | 'resolved', deadlineMs: number): Promise<void> {
    const has = status === 'firing' ? isFiring : isResolved;
    const seconds = new Map<string, string>();
    await until(
      `${name}: ${status} ${expected.join(', ')}`,
      () => {
        for (const alert of expected) {
          if (has(alert) && !seconds.has(alert)) {
            seconds.set(alert, ((performance.now() - startedMs) / 1000).toFixed(1));
          }
        }
        return seconds.size === expected.length;
      },
      deadlineMs,
    ).catch(async (error) => {
      const pending = await prometheus.api('alerts');
      const seen = receiver.notifications.slice(before).map(({ labels, status }) => `${nameOf(labels)} ${status}`);
      throw new Error(`${error.message}\nseen: ${seen.join(', ')}\n${JSON.stringify(pending)}`);
    });
    t.diagnostic(`${name}: ${status} after s: ${JSON.stringify(Object.fromEntries(seconds))}`);
  }

  const end = await begin(scene);
  try {
    await arrive(alerts, 'firing', FIRES_WITHIN_MS);
    if (later)
      await until(
        later.enough,
        async () => (await prometheus.query(later.enough)).length > 0,
        LONG_WINDOWS_FIRE_WITHIN_MS,
      );
  } finally {
    await end();
  }
  for (const alert of alerts) {
    const { labels, annotations, path } = notified(alert)[0] ?? assert.fail(alert);
    assert.equal(path, `/${labels.severity}`);
    assert.match(annotations.runbook_url ?? '', /^http:\/\/127\.0\.0\.1:9464\/runbook#[\w-]+$/);
  }
  await arrive(alerts, 'resolved', RESOLVES_WITHIN_MS);
  if (!later) return [];
  await arrive(later.alerts, 'firing', FIRES_WITHIN_MS);
  return [arrive(later.alerts, 'resolved', LONG_WINDOWS_RESOLVE_WITHIN_MS)];
}
