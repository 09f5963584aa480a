import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { type Proxy as Network, startProxy } from '../support/proxy.ts';
import { freePort } from '../support/system.ts';
import { type Balancer, startBalancer, startNameServer } from './balancer.ts';

/** Instances of the shop on one database, behind HAProxy, scraped by Prometheus each second. */
export interface Fleet {
  readonly database: TestDatabase;
  /** The way from all instances to the database. */
  readonly network: Network;
  readonly balancer: Balancer;
  readonly prometheus: Prometheus;
  /** The life of each instance that there was: of a primary, during which its counters only grow. */
  readonly lives: readonly Life[];
  /** Starts an instance at an address of the fleet; it is found when it is published. */
  start(address: string): Promise<RunningCluster>;
  /** Ends the instance there by `SIGTERM`. */
  stop(address: string): Promise<void>;
  /** Tells the balancer and Prometheus the instances that there are. */
  publish(addresses: readonly string[]): Promise<void>;
  /** The label `instance` in Prometheus. */
  labelOf(address: string): string;
}

export interface Life {
  readonly address: string;
  /** Its label `instance` in Prometheus. */
  readonly label: string;
  readonly shop: RunningCluster;
  /** Unix time in seconds: before its first scrape. */
  readonly from: number;
  /** Unix time in seconds: after its last scrape; undefined while it runs. */
  to?: number;
}

/** Each test has a network of its own on the loopback. */
let networks = process.pid;

export interface FleetOptions {
  /** Added to the variables of each instance. */
  env?: Record<string, string>;
  /** Of each instance. Default 2. */
  workers?: number;
  scrapeSeconds?: number;
  /** More flags of Prometheus, such as `--enable-feature=native-histograms`. */
  flags?: readonly string[];
  /** Files of rules for Prometheus, by name. */
  rules?: Record<string, string>;
}

/**
 * Starts two instances and all that is around them, and waits until the balancer and Prometheus know both.
 *
 * @returns the fleet and the addresses of its instances
 */
export async function startFleet(
  t: TestContext,
  { env, workers = 2, scrapeSeconds = 1, flags = [], rules = {} }: FleetOptions = {},
): Promise<{ fleet: Fleet; addresses: [string, string] }> {
  const database = await testDatabase(t);
  const network = await startProxy(t, database.url);
  const names = await startNameServer(t);
  const shopPort = await freePort();
  const metricsPort = await freePort();
  const balancer = await startBalancer(t, names, shopPort);
  const prometheus = await startPrometheus(t, {
    flags,
    config: {
      global: { scrape_interval: `${scrapeSeconds}s`, evaluation_interval: '1s' },
      rule_files: Object.keys(rules),
      scrape_configs: [{ job_name: 'fake-shop', file_sd_configs: [{ files: ['instances.json'] }] }],
    },
    files: { 'instances.json': [], ...rules },
  });
  const block = networks++ % 60_000;
  const addressOf = (host: number) => `127.${1 + Math.floor(block / 250)}.${1 + (block % 250)}.${host}`;
  const addresses: [string, string] = [addressOf(2), addressOf(3)];
  const lives: Life[] = [];
  const labelOf = (address: string) => `${address}:${metricsPort}`;
  const fleet: Fleet = {
    database,
    network,
    balancer,
    prometheus,
    lives,
    labelOf,
    async start(address) {
      const from = Date.now() / 1000;
      const shop = await startCluster(t, {
        workers,
        database: network,
        env: {
          HOST: address,
          PORT: String(shopPort),
          METRICS_HOST: address,
          METRICS_PORT: String(metricsPort),
          SESSION_KEYS: 'one-key-for-the-whole-fleet',
          ...env,
        },
      });
      lives.push({ address, label: labelOf(address), shop, from });
      return shop;
    },
    async stop(address) {
      const life = lives.find((each) => each.address === address && each.to === undefined);
      if (!life) throw new Error(`no instance runs at ${address}`);
      assert.deepEqual(await life.shop.stop('SIGTERM'), { code: 0, signal: null });
      life.to = Date.now() / 1000;
    },
    async publish(published) {
      await names.set(published);
      await prometheus.write('instances.json', [{ targets: published.map(labelOf) }]);
    },
  };
  // More than all shoppers buy.
  await database.knex('products').update({ stock: 1_000_000 });
  await Promise.all(addresses.map(fleet.start));
  await fleet.publish(addresses);
  await balancer.serves(addresses.length);
  await prometheus.scraped(addresses.map(labelOf));
  return { fleet, addresses };
}
