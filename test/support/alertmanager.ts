import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { startProgram } from './program.ts';
import { freePort, temporaryFolder } from './system.ts';
import { whenDone } from './wait.ts';

/** An alert as a receiver gets it. https://prometheus.io/docs/alerting/latest/configuration/#webhook_config */
export interface Notification {
  status: 'firing' | 'resolved';
  labels: Record<string, string>;
  annotations: Record<string, string>;
  /** Path of the receiver's address. */
  path: string;
}

/** A receiver of notifications. */
export interface Receiver {
  readonly url: string;
  /** All notifications so far, the oldest first. */
  readonly notifications: readonly Notification[];
}

/** Starts a webhook on a free port. It ends with the test. */
export async function startReceiver(t: TestContext): Promise<Receiver> {
  const notifications: Notification[] = [];
  const server = createServer(async (request, response) => {
    const { alerts } = JSON.parse(await text(request)) as { alerts: Omit<Notification, 'path'>[] };
    notifications.push(...alerts.map((alert) => ({ ...alert, path: request.url ?? '' })));
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenDone(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, notifications };
}

/**
 * Starts Debian's Alertmanager on a free port and waits until it is ready. It ends with the test.
 *
 * @param configuration YAML
 * @returns host and port
 */
export async function startAlertmanager(t: TestContext, configuration: string): Promise<string> {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'alertmanager.yml');
  await writeFile(file, configuration);
  const address = `127.0.0.1:${await freePort()}`;
  const flags = [
    `--config.file=${file}`,
    `--storage.path=${join(folder, 'data')}`,
    `--web.listen-address=${address}`,
    '--cluster.listen-address=',
  ];
  await startProgram(t, 'prometheus-alertmanager', flags, {
    package: 'prometheus-alertmanager',
    ready: async () => (await fetch(`http://${address}/-/ready`)).ok,
  });
  return address;
}
