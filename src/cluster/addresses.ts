import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { isLoopback } from '../http/request-host.ts';
import { StartError } from '../start-error.ts';

const SECOND = 1000;
/** The workers of a primary that was killed take up to a second to leave, longer on a busy machine. */
const PATIENCE_MS = 3 * SECOND;
const RETRY_MS = 100;
/** Unix reserves the ports below for root; 8000 above them is usual instead: 8080, 8443. */
const FIRST_FREE_FOR_ALL = 1024;
const USUAL_STEP = 8000;
const LAST_PORT = 65_535;
/** Ports that are tried to find a free one. */
const ATTEMPTS = 20;
/** Our own code beside the system's: the shop's server has the address of the metrics' server. */
const TAKEN_BY_SHOP = 'TAKEN_BY_SHOP';
/** Errors that another port avoids. */
const OF_THE_PORT = ['EADDRINUSE', 'EACCES', TAKEN_BY_SHOP];
/** macOS listens there by default. */
const AIRPLAY_PORTS = [5000, 7000];

interface Address {
  readonly host: string;
  readonly port: number;
  readonly hostVariable: string;
  readonly portVariable: string;
}

interface Fault {
  readonly address: Address;
  readonly code: string;
  readonly message: string;
}

/**
 * Checks that both servers can listen where the environment says, before anything is started. A port that is taken is
 * tried again for a short while.
 *
 * @throws {StartError} one line: each address, its variable, why not, and a command that works
 */
export async function checkAddresses(
  config: Pick<Config, 'shop' | 'metrics'>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const faults = await findFaults(config);
    if (faults.length === 0) return;
    if (faults.some(({ code }) => code !== 'EADDRINUSE') || performance.now() > deadline) {
      const reasons = faults.map(
        ({ address, code, message }) =>
          `Can't listen on ${address.host}:${address.port} (${OF_THE_PORT.includes(code) ? address.portVariable : address.hostVariable}): ${reasonFor(address, code) ?? message}`,
      );
      const settings = await remedies(config, faults);
      const advice = settings.length > 0 ? `. Try: ${settings.join(' ')} npm start` : '';
      throw new StartError(`${reasons.join('. ')}${advice}`);
    }
    await delay(RETRY_MS);
  }
}

/** Settings with which a second shop can listen beside one that has these addresses, such as `PORT=5001`. */
export async function otherAddresses(config: Pick<Config, 'shop' | 'metrics'>): Promise<string[]> {
  return remedies(config, await findFaults(config));
}

async function findFaults({ shop, metrics }: Pick<Config, 'shop' | 'metrics'>): Promise<Fault[]> {
  const ofShop: Address = { ...shop, hostVariable: 'HOST', portVariable: 'PORT' };
  const ofMetrics: Address = { ...metrics, hostVariable: 'METRICS_HOST', portVariable: 'METRICS_PORT' };
  const faults: Fault[] = [];
  for (const address of [ofShop, ofMetrics]) {
    const error = await tryToListen(address);
    if (error) faults.push({ address, code: error.code ?? '', message: error.message });
  }
  if (faults.length === 0 && shop.port === metrics.port && shop.port !== 0) {
    // Each can listen alone. Only the system knows whether two hosts are one address, such as `localhost` and 127.0.0.1.
    await tryToListen(ofShop, async () => {
      const error = await tryToListen(ofMetrics);
      if (error) faults.push({ address: ofMetrics, code: TAKEN_BY_SHOP, message: error.message });
    });
  }
  return faults;
}

/** @param meanwhile runs while the address is taken */
async function tryToListen(
  { host, port }: Pick<Address, 'host' | 'port'>,
  meanwhile?: () => Promise<void>,
): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port });
    await once(server, 'listening');
    await meanwhile?.();
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  } finally {
    server.close();
  }
}

function reasonFor({ host, port }: Address, code: string): string | undefined {
  const airplay = process.platform === 'darwin' && AIRPLAY_PORTS.includes(port);
  return {
    EADDRINUSE: `another program listens there${airplay ? ', as the AirPlay receiver of macOS does' : ''}`,
    [TAKEN_BY_SHOP]: "it is the shop's own address (HOST and PORT)",
    EACCES: `this user may not listen on a port below ${FIRST_FREE_FOR_ALL}`,
    EADDRNOTAVAIL: `this machine has no address ${host}${isLoopback(host) ? ': is the loopback interface up (ip link set lo up)?' : ''}`,
    EINVAL: `this machine can't listen on ${host}`,
    ENOTFOUND: `the name ${host} is not known here`,
    EAI_AGAIN: `the name ${host} is not known here`,
  }[code];
}

async function remedies({ shop, metrics }: Pick<Config, 'shop' | 'metrics'>, faults: Fault[]): Promise<string[]> {
  const used = [shop.port, metrics.port];
  const found: string[] = [];
  for (const { address, code } of faults) {
    if (!OF_THE_PORT.includes(code)) {
      // Without a loopback, no other address helps: the processes of the shop reach each other there.
      if (!isLoopback(address.host)) found.push(`${address.hostVariable}=127.0.0.1`);
      continue;
    }
    const first = address.port < FIRST_FREE_FOR_ALL ? address.port + USUAL_STEP : address.port + 1;
    const port = await nextFreePort(address.host, first, used);
    used.push(port);
    found.push(`${address.portVariable}=${port}`);
  }
  return found;
}

/** @returns 0 where none near the first is free: then the system chooses a port */
async function nextFreePort(host: string, first: number, used: readonly number[]): Promise<number> {
  const last = Math.min(first + ATTEMPTS, LAST_PORT);
  for (let port = first; port <= last; port++) {
    if (!used.includes(port) && !(await tryToListen({ host, port }))) return port;
  }
  return 0;
}
