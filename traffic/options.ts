import { randomInt } from 'node:crypto';
import { BlockList, isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { parseArgs } from 'node:util';
import { StartError } from '../src/start-error.ts';
import type { TrafficOptions } from './traffic.ts';

export interface Options extends TrafficOptions {
  readonly minutes: number;
  /** Of the primary. */
  readonly metricsUrl: URL;
}

export const HELP = `npm run traffic -- [options]

Sends shoppers into a shop that runs on this machine, and at the end compares what they did with the shop's metrics.
Ctrl-C ends it early, with the comparison.

  --shoppers 30                          shoppers at a time, 1 to 1000
  --minutes 5                            how long they shop, 0.05 to 1440
  --url http://127.0.0.1:5000            the shop
  --metrics-url http://127.0.0.1:9464    its metrics; METRICS_TOKEN in the environment is their token
  --think 6                              seconds that a shopper looks at a page, on average, 0 to 60
  --seed TEXT                            the same shoppers with the same habits in each run
  --help                                 this page

A hundred shoppers post about as many forms as the shop takes from one address. For more of them, or for quicker ones,
start the shop with RATE_LIMIT=off; else they wait as long as it asks for.
`;

/** @throws {StartError} one sentence about the first option that is wrong */
export function readOptions(args: readonly string[]): Options | 'help' {
  const { help, shoppers, minutes, url, 'metrics-url': metricsUrl, think, seed } = parse(args);
  if (help) return 'help';
  const persons = readNumber('--shoppers', shoppers, 1, 1000);
  if (!Number.isInteger(persons)) throw new StartError(`--shoppers must be a whole number, and is ${shoppers}.`);
  return {
    shoppers: persons,
    minutes: readNumber('--minutes', minutes, 0.05, 1440),
    url: readUrl('--url', url),
    metricsUrl: readUrl('--metrics-url', metricsUrl),
    thinkSeconds: readNumber('--think', think, 0, 60),
    seed: seed ?? String(randomInt(1_000_000)),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', default: false },
        shoppers: { type: 'string', default: '30' },
        minutes: { type: 'string', default: '5' },
        url: { type: 'string', default: 'http://127.0.0.1:5000' },
        'metrics-url': { type: 'string', default: 'http://127.0.0.1:9464' },
        think: { type: 'string', default: '6' },
        seed: { type: 'string' },
      },
    }).values;
  } catch (error) {
    const [problem = ''] = (error as Error).message.split('. ');
    throw new StartError(`${problem}: npm run traffic -- --help lists the options.`);
  }
}

function readNumber(option: string, text: string, least: number, most: number): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (number >= least && number <= most) return number;
  throw new StartError(`${option} must be a number from ${least} to ${most}, and is ${text === '' ? 'empty' : text}.`);
}

function readUrl(option: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:')
    throw new StartError(`${option} must be an address such as http://127.0.0.1:5000, and is ${text}.`);
  if (!isThisMachine(url.hostname)) {
    throw new StartError(
      `${option} must be an address of this machine, since traffic for others is an attack: ${url.hostname} is none.`,
    );
  }
  return url;
}

/** Names are not looked up, except for `localhost`: a name server must not decide who gets the traffic. */
function isThisMachine(host: string): boolean {
  if (host === 'localhost') return true;
  const address = host.replace(/^\[|\]$/g, '');
  if (isIP(address) === 0) return false;
  const own = new BlockList();
  own.addSubnet('127.0.0.0', 8, 'ipv4');
  own.addAddress('::1', 'ipv6');
  for (const each of Object.values(networkInterfaces()).flat()) {
    if (each) own.addAddress(each.address, each.family === 'IPv6' ? 'ipv6' : 'ipv4');
  }
  return own.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
