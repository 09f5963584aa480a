import assert from 'node:assert/strict';
import { readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Knex } from 'knex';
import pg from 'pg';
import type { OwnServer } from '../long/faults/server.ts';
import { type RunningCluster, startCluster, storeFolder } from '../support/cluster.ts';
import { fillDisk, testDatabase } from '../support/database.ts';
import type { Prometheus } from '../support/prometheus.ts';
import { type Proxy as Network, startProxy } from '../support/proxy.ts';
import { freePort } from '../support/system.ts';
import { until } from '../support/wait.ts';

/** What a fault can break. */
export interface Scene {
  /** What a fault starts ends with this test. */
  readonly t: TestContext;
  readonly server: OwnServer;
  /** Between the shop and its database. */
  readonly network: Network;
  readonly shop: RunningCluster;
  /** Past the network. */
  readonly knex: Knex;
  readonly prometheus: Prometheus;
  /** Sets the targets that Prometheus has; labels as in a file of targets. */
  target(instances: readonly string[], labels?: Record<string, string>): Promise<void>;
  /** Host and port of the shop's primary. */
  readonly instance: string;
}

/** Something that breaks, and the alerts that tell. An alert with several windows is named `Alert over 1h`. */
export interface Fault {
  readonly name: string;
  /** Alerts that must arrive while the fault lasts; others may. */
  readonly alerts: readonly string[];
  /**
   * Alerts that must arrive when it is over: Alertmanager holds them back while a more urgent one of the same name fires.
   * Their windows are long, so they last for minutes.
   */
  readonly later?: {
    readonly alerts: readonly string[];
    /** The fault lasts until this expression has a value: enough has failed for the long windows. */
    readonly enough: string;
  };
  /** @returns ends the fault */
  begin(scene: Scene): Promise<() => Promise<unknown>>;
  /** A part of `npm run test:fleet`. The others run only when they are asked for. */
  readonly short?: true;
  /** No page fails or is slow, so it does not disturb alerts of long windows. */
  readonly unnoticed?: true;
  /** Shoppers meanwhile, where the usual number is too many or too few. */
  readonly shoppers?: number;
}

/** SQLSTATE. */
const TOO_MANY_CONNECTIONS = '53300';
/** A page of the cart asks the database twice, and a checkout some six times. Less than the deadline of a page. */
const SLOW_NETWORK_MS = 165;
/** A page of metrics has some 3,900 samples and 4 for each product. The alert wants 16,000. */
const MANY_PRODUCTS = 3_200;

/** Another program's transaction that holds a lock. @returns ends it */
async function hold({ knex }: Scene, statement: string): Promise<() => Promise<unknown>> {
  const transaction = await knex.transaction();
  await transaction.raw(statement);
  return () => transaction.rollback();
}

/** @param places how many of the places, the first ones */
async function pidsOfWorkers({ shop }: Scene, places: number): Promise<number[]> {
  return (await shop.status()).workers.slice(0, places).flatMap(({ pid }) => pid ?? []);
}

/** Kills the workers of these places as soon as they are there. @returns stops it */
function killWorkers(scene: Scene, places: number): () => Promise<unknown> {
  let isOver = false;
  async function killOn(): Promise<void> {
    while (!isOver) {
      try {
        for (const pid of await pidsOfWorkers(scene, places)) process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself, or the primary of a busy machine answers too late.
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  const killing = killOn();
  return async () => {
    isOver = true;
    await killing;
  };
}

const hostOf = ({ opsUrl }: RunningCluster) => new URL(opsUrl).host;

/** A further instance of the shop. */
const startInstance = ({ t }: Scene, url: string) => startCluster(t, { workers: 1, database: { url } });

/**
 * Real faults, each by real means: signals, locks, a network that is slow or cut, files that are damaged, servers that go.
 * In an order in which no fault delays the next: the two of long windows first, then those that no shopper notices.
 */
export const FAULTS: readonly Fault[] = [
  {
    name: 'a table that is missing',
    alerts: ['ShopServerErrors over 1h', 'ShopServerErrors over 6h'],
    later: {
      alerts: ['ShopServerErrors over 1d', 'ShopServerErrors over 3d'],
      // A shopper whose add fails asks for no other page, so more pages follow than failed, and the ratio falls.
      enough: 'shop:page_errors:ratio3d > 4 * 0.001',
    },
    async begin({ knex }) {
      await knex.raw('alter table cart_items rename to cart_items_old');
      return () => knex.raw('alter table cart_items_old rename to cart_items');
    },
  },
  {
    name: 'a slow network to the database',
    alerts: ['ShopSlowPages over 1h', 'ShopSlowPages over 6h', 'ShopCheckoutSlow'],
    later: {
      alerts: ['ShopSlowPages over 1d', 'ShopSlowPages over 3d'],
      enough: 'shop:slow_pages:ratio3d > 1.5 * 0.01',
    },
    // Of the small pools of the test, each slow page holds a connection for long.
    shoppers: 6,
    async begin({ network }) {
      network.delay(SLOW_NETWORK_MS);
      return async () => network.delay(0);
    },
  },
  {
    name: 'an instance whose network to the database is cut',
    alerts: ['ShopDatabaseUnreachable'],
    unnoticed: true,
    async begin(scene) {
      const network = await startProxy(scene.t, scene.server.url);
      const other = hostOf(await startInstance(scene, network.url));
      await scene.target([scene.instance, other]);
      await scene.prometheus.scraped([other]);
      network.refuse();
      return async () => network.accept();
    },
  },
  {
    name: 'two of three instances are gone',
    alerts: ['ShopInstancesMissing'],
    unnoticed: true,
    async begin(scene) {
      const { instance, prometheus, server, target } = scene;
      const others = await Promise.all([startInstance(scene, server.url), startInstance(scene, server.url)]);
      await target([instance, ...others.map(hostOf)]);
      // An hour, which is a minute here.
      await until(
        'there were three instances',
        async () => (await prometheus.value('count(shop_build_info offset 1m)')) === 3,
        120_000,
      );
      await target([instance]);
      await Promise.all(others.map((other) => other.stop()));
      return async () => {};
    },
  },
  {
    name: 'a file of the metrics that is emptied',
    alerts: ['ShopMetricsProblems'],
    unnoticed: true,
    async begin({ shop }) {
      const folder = storeFolder(shop.pid);
      const store = readdirSync(folder).find((name) => name.startsWith('1-') && name.endsWith('.store'));
      assert.ok(store);
      truncateSync(join(folder, store), 0);
      return async () => {};
    },
  },
  {
    name: 'a slow network to Prometheus',
    alerts: ['ShopScrapeSlow'],
    unnoticed: true,
    async begin({ t, shop, instance, target }) {
      const network = await startProxy(t, shop.opsUrl);
      network.delay(600);
      // A scrape has as long as its interval.
      await target([new URL(network.url).host], { __scrape_interval__: '5s', __scrape_timeout__: '5s' });
      return () => target([instance]);
    },
  },
  {
    name: 'an instance with a large catalogue',
    alerts: ['ShopMetricsNearLimit'],
    unnoticed: true,
    async begin(scene) {
      const { t, instance, target } = scene;
      const { url, knex } = await testDatabase(t);
      await knex.raw(
        `insert into products (slug, name, category_id, price_cents, stock, featured, summary, description, facts, picture)
         select 'many-' || n, 'Many ' || n, category_id, price_cents, stock, false, summary, description, facts, picture
         from products, generate_series(1, ?::int) n where id = 1`,
        [MANY_PRODUCTS],
      );
      const other = await startInstance(scene, url);
      await target([instance, hostOf(other)]);
      return async () => {
        await target([instance]);
        await other.stop();
      };
    },
  },
  {
    name: 'an instance that is not there',
    alerts: ['ShopInstanceDown'],
    unnoticed: true,
    async begin({ target, instance }) {
      await target([instance, `127.0.0.1:${await freePort()}`]);
      return () => target([instance]);
    },
  },
  {
    name: 'a discovery that finds nothing',
    alerts: ['ShopDown'],
    short: true,
    unnoticed: true,
    async begin({ target, instance }) {
      await target([]);
      return () => target([instance]);
    },
  },
  {
    name: 'deadlocks',
    alerts: ['ShopDatabaseDeadlocks'],
    unnoticed: true,
    async begin({ knex }) {
      for (let i = 0; i < 4; i++) {
        const [one, two] = [await knex.transaction(), await knex.transaction()];
        await one('categories').where({ id: 1 }).forUpdate().select('id');
        await two('categories').where({ id: 2 }).forUpdate().select('id');
        await Promise.allSettled([
          one('categories').where({ id: 2 }).forUpdate().select('id'),
          two('categories').where({ id: 1 }).forUpdate().select('id'),
        ]);
        await Promise.allSettled([one.rollback(), two.rollback()]);
      }
      return async () => {};
    },
  },
  {
    name: 'a payment provider that hangs',
    alerts: ['ShopCheckoutFailing', 'ShopServerErrors over 1h', 'ShopPaymentsUnsettled', 'ShopDatabaseLocks'],
    short: true,
    begin: (scene) => hold(scene, 'lock table simulated_provider_payments in access exclusive mode'),
  },
  {
    name: 'a worker that dies again and again',
    alerts: ['ShopWorkersRestart', 'ShopWorkersMissing'],
    short: true,
    begin: async (scene) => killWorkers(scene, 1),
  },
  {
    name: 'a full disk',
    alerts: ['ShopDatabaseDiskFull'],
    begin: ({ knex }) => fillDisk(knex, 'cart_items'),
  },
  {
    name: 'a database that is shut down',
    alerts: ['ShopDatabaseDown'],
    short: true,
    async begin({ server }) {
      await server.stop();
      return () => server.start();
    },
  },
  {
    name: 'all workers die again and again',
    alerts: ['ShopNotServing'],
    begin: async (scene) => killWorkers(scene, 2),
  },
  {
    name: 'a worker that is stopped',
    alerts: ['ShopWorkerStale'],
    async begin(scene) {
      const [pid] = await pidsOfWorkers(scene, 1);
      assert.ok(pid);
      process.kill(pid, 'SIGSTOP');
      return async () => process.kill(pid, 'SIGCONT');
    },
  },
  {
    name: 'products that another program has locked',
    alerts: ['ShopCatalogueStale', 'ShopPoolExhausted'],
    // Each holds a connection for most of the time.
    shoppers: 24,
    begin: (scene) => hold(scene, 'lock table products, carts in access exclusive mode'),
  },
  {
    name: 'an event loop that is blocked again and again',
    alerts: ['ShopEventLoopBlocked'],
    async begin(scene) {
      const [pid] = await pidsOfWorkers(scene, 1);
      assert.ok(pid);
      let isStopped = false;
      const timer = setInterval(() => {
        isStopped = !isStopped;
        process.kill(pid, isStopped ? 'SIGSTOP' : 'SIGCONT');
      }, 600);
      return async () => {
        clearInterval(timer);
        process.kill(pid, 'SIGCONT');
      };
    },
  },
  {
    name: 'other programs that take the connections of the server',
    alerts: ['ShopDatabaseConnections'],
    async begin({ server }) {
      const taken: pg.Client[] = [];
      try {
        for (;;) {
          const client = new pg.Client({ connectionString: server.url, connectionTimeoutMillis: 10_000 });
          client.on('error', () => {});
          await client.connect();
          taken.push(client);
        }
      } catch (error) {
        assert.equal((error as { code?: string }).code, TOO_MANY_CONNECTIONS);
      }
      return () => Promise.all(taken.map((client) => client.end()));
    },
  },
];
