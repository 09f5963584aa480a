import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Mutex } from 'async-mutex';
import type { Lamp } from '../../src/ops/live/model.ts';
import { projectRoot } from '../../src/paths.ts';
import { createMetricsSource, readRoutes } from '../../traffic/metrics.ts';
import { createTally } from '../../traffic/tally.ts';
import { startTraffic } from '../../traffic/traffic.ts';
import { ANSWERS, type Answer, SHOPPERS, SIGNALS, type SignalName } from '../support/answer-key.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { switchFault } from '../support/faults.ts';
import { type LiveViewer, watchLive } from '../support/live.ts';
import { type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { quicken } from '../support/quick-rules.ts';
import { until, whenDone } from '../support/wait.ts';

/*
 * The answer key of the rehearsed faults, seen under traffic: each fault lights its lamp and no other, moves its metrics and
 * no other, fires its alerts, and leaves nothing behind. A shop of its own for each, so that none sees the end of another.
 *
 * One fault is on at a time. While lamps remember one that has ended, which takes minutes, the next ones have their turn.
 */

/** By hand: `npm run test:answers` takes all faults. On an idle machine. */
const { ANSWERS: names } = process.env;
const IS_QUIET = names !== undefined;
const wanted = ANSWERS.filter(({ fault }) => names === 'all' || (names ?? 'blocked_loop').split(',').includes(fault));
/** The last one takes the processor time of the others' shops too. */
const chosen = wanted.toSorted((a, b) => Number(a.fault === 'busy_machine') - Number(b.fault === 'busy_machine'));

/** Ten minutes are a minute: as long as the longest window of an alert that a fault of 10 minutes can fire. */
const FACTOR = 10;
const PATIENCE_MS = 240_000;
/** Lamps remember errors and deaths for 5 minutes, and alerts for longer. */
const WELL_AGAIN_MS = 600_000;
/** Until the page names the cause. */
const GOAL_SECONDS = 60;
const LOOK_MS = 1000;
/** One whose fault is on, and those that remember theirs. */
const SHOPS = 4;
const turn = new Mutex();

interface Scene {
  readonly shop: RunningCluster;
  readonly viewer: LiveViewer;
  readonly prometheus: Prometheus;
}

const rules = (name: string) => readFileSync(join(projectRoot, 'monitoring/prometheus/rules', name), 'utf8');

async function startScene(t: TestContext): Promise<Scene> {
  const shop = await startCluster(t, { workers: 2, database: 'embedded', env: { FAULTS: 'true' } });
  const instance = new URL(shop.opsUrl).host;
  const prometheus = await startPrometheus(t, {
    config: {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: ['rules/*.yml'],
      scrape_configs: [{ job_name: 'any', static_configs: [{ targets: [instance] }] }],
    },
    files: {
      'rules/alerts.yml': quicken(rules('alerts.yml'), FACTOR),
      'rules/recording.yml': quicken(rules('recording.yml'), FACTOR),
    },
  });
  const tally = createTally(readRoutes(await createMetricsSource(new URL(shop.opsUrl), undefined).scrape()));
  const traffic = startTraffic({ ...SHOPPERS, url: new URL(shop.shopUrl), seed: 'answers' }, tally);
  whenDone(t, () => traffic.end());
  const viewer = await watchLive(t, shop);
  await until('people buy', () => tally.of('shop_orders_total{outcome="paid"}') >= 5, PATIENCE_MS);
  await prometheus.scraped([instance]);
  return { shop, viewer, prometheus };
}

/** The first minute of a heap does not count: it fills with compiled code. */
const WARM_UP_MS = 70_000;

async function areWarm({ shop }: Scene): Promise<boolean> {
  const { workers } = await shop.status();
  return workers.every(({ startedAt }) => Date.now() - Date.parse(startedAt ?? '') > WARM_UP_MS);
}

/** What other programs on the machine do to a shop that is well. */
const OF_A_BUSY_MACHINE = ['machine_cpu', 'code_slow'];

function litLamps({ viewer }: Scene, answer: Answer): readonly Lamp[] {
  return viewer
    .frame()
    .lamps.filter(({ level }) => level !== 'good')
    .filter(({ name, rule }) => IS_QUIET || name === answer.lamp || !OF_A_BUSY_MACHINE.includes(rule));
}

/** The signals that move now. */
async function moving({ prometheus }: Scene): Promise<SignalName[]> {
  const names = Object.keys(SIGNALS) as SignalName[];
  const values = await Promise.all(names.map((name) => prometheus.query(SIGNALS[name])));
  return names.filter((_, i) => (values[i]?.length ?? 0) > 0);
}

/** Of the rules. */
const ALERT_NAMES = Array.from(rules('alerts.yml').matchAll(/- alert: (\w+)/g), ([, name = '']) => name);

async function firing({ prometheus }: Scene): Promise<string[]> {
  const alerts = await prometheus.query('ALERTS{alertstate="firing"}');
  return [...new Set(alerts.map(({ labels }) => labels.alertname ?? ''))];
}

/** Waits until a list has all that it must have, and nothing else but what it may. */
async function settle(
  what: string,
  list: () => Promise<readonly string[]> | readonly string[],
  must: readonly string[],
  may: readonly string[],
  deadlineMs = PATIENCE_MS,
): Promise<void> {
  let seen: readonly string[] = [];
  await until(
    what,
    async () => {
      seen = await list();
      return (
        must.every((each) => seen.includes(each)) && seen.every((each) => must.includes(each) || may.includes(each))
      );
    },
    deadlineMs,
  ).catch((error) => assert.fail(`${error.message}\nseen: ${seen.join(', ')}; expected: ${must.join(', ')}`));
}

const without = (all: ReadonlySet<string>, known: readonly string[]) =>
  [...all].filter((each) => !known.includes(each));

/** What was seen while a fault was on, also for a moment only. */
interface Sightings {
  readonly lamps: Set<string>;
  readonly signals: Set<string>;
  readonly alerts: Set<string>;
}

/** Looks once a second. @returns ends it, with all that was seen */
function keepLooking(scene: Scene, lit: (scene: Scene) => readonly string[]): () => Promise<Sightings> {
  const seen: Sightings = { lamps: new Set(), signals: new Set(), alerts: new Set() };
  let isOver = false;
  async function look(): Promise<void> {
    for (; !isOver; await sleep(LOOK_MS)) {
      for (const lamp of lit(scene)) seen.lamps.add(lamp);
      for (const signal of await moving(scene)) seen.signals.add(signal);
      for (const alert of await firing(scene)) seen.alerts.add(alert);
    }
  }
  const looking = look();
  // It fails with the test that ends Prometheus.
  looking.catch(() => {});
  return async () => {
    isOver = true;
    await looking;
    return seen;
  };
}

describe('answer key', { concurrency: SHOPS }, () => {
  for (const answer of chosen) {
    const { fault, rule, blame, mayShow, moves, mayMove, alerts, mayAlert } = answer;
    const nameOf = (each: Pick<Lamp, 'rule' | 'blame'>) => `${each.rule} ${blame && each.blame}`;
    const secondsSince = (ms: number) => Math.round((performance.now() - ms) / 1000);

    test(`${fault} shows as ${rule}`, async (t) => {
      const { scene, before, times } = await turn.runExclusive(() => suffer(t));
      const endedMs = performance.now();
      await settle('all lamps are dark again', () => lit(scene), [], [], WELL_AGAIN_MS);
      const dark = secondsSince(endedMs);
      await settle('the metrics are still again', () => moving(scene), [], before);
      const silent = IS_QUIET ? [] : ALERT_NAMES.filter((each) => !alerts.includes(each));
      await settle('the alerts are silent again', () => firing(scene), [], silent, WELL_AGAIN_MS);
      t.diagnostic(`${fault}: ${times}; dark ${dark} s after its end`);
    });

    const lit = (scene: Scene) => litLamps(scene, answer).map(nameOf);

    /** From a shop that is well to the end of its fault. */
    async function suffer(t: TestContext): Promise<{ scene: Scene; before: SignalName[]; times: string }> {
      const scene = await startScene(t);
      if (rule === 'code_memory') await until('its first minute is over', () => areWarm(scene), PATIENCE_MS);
      await settle('all lamps are dark', () => lit(scene), [], [], PATIENCE_MS);
      // What moves already is not this fault's doing.
      const before = await moving(scene);

      const beganMs = performance.now();
      const stopLooking = IS_QUIET ? keepLooking(scene, lit) : null;
      await switchFault(scene.shop, fault, true);
      const shown = nameOf(answer);
      await settle('its lamp is lit, and no other', () => lit(scene), [shown], []);
      const seen = secondsSince(beganMs);
      if (IS_QUIET) assert.ok(seen <= GOAL_SECONDS, `seen after ${seen} s`);
      await settle('its metrics move, and no others', () => moving(scene), moves, [...before, ...mayMove]);
      const moved = secondsSince(beganMs);
      const others = IS_QUIET ? mayAlert : ALERT_NAMES;
      await settle('its alerts fire, and no others', () => firing(scene), alerts, others);
      const alerted = secondsSince(beganMs);
      await settle('its lamp is still the only one', () => lit(scene), [shown], []);
      const sightings = await stopLooking?.();
      if (sightings) {
        const unforeseen = {
          lamps: without(sightings.lamps, [shown, ...mayShow]),
          signals: without(sightings.signals, [...before, ...moves, ...mayMove]),
          alerts: without(sightings.alerts, [...alerts, ...mayAlert]),
        };
        assert.deepEqual(unforeseen, { lamps: [], signals: [], alerts: [] }, 'also for a moment only');
      }
      await switchFault(scene.shop, fault, false);
      const times = `seen after ${seen} s, metrics after ${moved} s, alerts after ${alerted} s with rules ${FACTOR} times as quick`;
      return { scene, before, times };
    }
  }
});
