import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Exposition, parseExposition } from '@techcommerce/cluster-metrics/testing';
import { projectRoot } from '../../src/paths.ts';
import { startProgram } from '../support/program.ts';
import { freePort, temporaryFolder } from '../support/system.ts';
import { until } from '../support/wait.ts';

/** A name server whose one name has an address for each instance, as Docker's has. */
export interface NameServer {
  readonly name: string;
  /** Host and port of the server itself. */
  readonly address: string;
  /** Replaces the addresses of the name. */
  set(addresses: readonly string[]): Promise<void>;
}

/** Starts Debian's dnsmasq. Its name has no addresses at first. */
export async function startNameServer(t: TestContext): Promise<NameServer> {
  const name = 'shop.test';
  const folder = await temporaryFolder(t);
  // It changes its user.
  await chmod(folder, 0o755);
  const hosts = join(folder, 'hosts');
  await writeFile(hosts, '');
  const port = await freePort();
  const flags = [
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--pid-file=',
    '--log-facility=-',
    '--listen-address=127.0.0.1',
    `--port=${port}`,
    '--bind-interfaces',
    '--no-resolv',
    '--no-hosts',
    `--addn-hosts=${hosts}`,
  ];
  const program = await startProgram(t, 'dnsmasq', flags, {
    package: 'dnsmasq-base',
    ready: (output) => output.includes('read '),
  });
  return {
    name,
    address: `127.0.0.1:${port}`,
    async set(addresses) {
      await writeFile(hosts, addresses.map((address) => `${address} ${name}\n`).join(''));
      program.signal('SIGHUP');
    },
  };
}

/** HAProxy with the configuration that the project ships. */
export interface Balancer {
  /** Where visitors come in. */
  readonly url: string;
  /** Its log. */
  output(): string;
  /** HAProxy's own metrics. */
  metrics(): Promise<Exposition>;
  /** Waits until so many instances get requests. */
  serves(instances: number): Promise<void>;
}

/** Starts Debian's HAProxy before the instances whose addresses the name server knows. */
export async function startBalancer(t: TestContext, names: NameServer, shopPort: number): Promise<Balancer> {
  const address = `127.0.0.1:${await freePort()}`;
  const metricsAddress = `127.0.0.1:${await freePort()}`;
  const metricsUrl = `http://${metricsAddress}/metrics`;
  const { output } = await startProgram(t, 'haproxy', ['-db', '-f', join(projectRoot, 'deploy/haproxy/haproxy.cfg')], {
    package: 'haproxy',
    ready: async () => (await fetch(metricsUrl)).ok,
    env: {
      BALANCER_ADDRESS: address,
      BALANCER_METRICS: metricsAddress,
      SHOP_NAME: names.name,
      SHOP_PORT: String(shopPort),
      SHOP_DNS: names.address,
    },
  });
  async function metrics(): Promise<Exposition> {
    return parseExposition(await (await fetch(metricsUrl)).text());
  }
  return {
    url: `http://${address}`,
    output,
    metrics,
    async serves(instances) {
      await until(
        `HAProxy sends requests to ${instances} instances`,
        async () => (await metrics()).of('haproxy_backend_active_servers', { proxy: 'shop' }) === instances,
      );
    },
  };
}
