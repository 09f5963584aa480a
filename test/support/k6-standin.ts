import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';

/*
 * Stands in for the modules of k6 that the scripts in k6/ import, so that no test needs k6:
 * https://grafana.com/docs/k6/latest/javascript-api/. One file for all of them, so its default is that of k6/http and of
 * k6/execution in one. `k6-run.ts` runs a script on it.
 */

interface Answer {
  status: number;
  body: string;
  headers: Record<string, string>;
  cookies: string[];
  error: string;
}

interface Params {
  headers?: Record<string, string>;
}

/** What the script has added and checked. The key of a count is k6's name of the sum with these tags. */
export const totals = {
  counts: new Map<string, number>(),
  /** How many of all were true. */
  rates: new Map<string, { of: number; all: number }>(),
  checks: { passes: 0, fails: 0 },
  requests: 0,
};

/** k6 waits for an answer without giving the turn to anything else, so another thread asks. */
const ASKER = `
  const { workerData } = require('node:worker_threads');
  const { port, done } = workerData;
  port.on('message', async ({ url, ...init }) => {
    let answer;
    try {
      const response = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(30_000) });
      answer = {
        status: response.status,
        body: await response.text(),
        headers: Object.fromEntries(
          ['Location', 'X-Request-Id'].map((name) => [name, response.headers.get(name)]).filter(([, value]) => value)),
        cookies: response.headers.getSetCookie(),
        error: '',
      };
    } catch (error) {
      answer = { status: 0, body: '', headers: {}, cookies: [], error: String(error) };
    }
    port.postMessage(answer);
    Atomics.store(done, 0, 1);
    Atomics.notify(done, 0);
  });
`;
const done = new Int32Array(new SharedArrayBuffer(4));
const { port1: port, port2 } = new MessageChannel();
const asker = new Worker(ASKER, { eval: true, workerData: { port: port2, done }, transferList: [port2] });
asker.unref();

const cookies = new Map<string, string>();

/** As k6 does when an iteration begins. */
export function forgetCookies(): void {
  cookies.clear();
}

function request(method: string, url: string, form: Record<string, string> | null, params: Params = {}): Answer {
  totals.requests += 1;
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  Atomics.store(done, 0, 0);
  port.postMessage({
    url,
    method,
    headers: {
      ...params.headers,
      ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
      ...(cookie !== '' && { cookie }),
    },
    ...(form && { body: new URLSearchParams(form).toString() }),
  });
  Atomics.wait(done, 0, 0);
  const answer: Answer = receiveMessageOnPort(port)?.message;
  for (const line of answer.cookies) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    cookies.set(name, value);
  }
  return answer;
}

export class Counter {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  add(value: number, tags: Record<string, string> = {}): void {
    const pairs = Object.entries(tags).map(([name, text]) => `${name}:${text}`);
    const key = pairs.length > 0 ? `${this.#name}{${pairs}}` : this.#name;
    totals.counts.set(key, (totals.counts.get(key) ?? 0) + value);
  }
}

export class Rate {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  add(isTrue: boolean): void {
    const { of, all } = totals.rates.get(this.#name) ?? { of: 0, all: 0 };
    totals.rates.set(this.#name, { of: of + Number(isTrue), all: all + 1 });
  }
}

export function check(value: unknown, checks: Record<string, (value: unknown) => boolean>): boolean {
  const failed = Object.entries(checks).filter(([, holds]) => !holds(value));
  totals.checks.passes += Object.keys(checks).length - failed.length;
  totals.checks.fails += failed.length;
  for (const [what] of failed) console.error(`the check failed: ${what}`);
  return failed.length === 0;
}

export function sleep(seconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000 * seconds);
}

export default {
  request,
  get: (url: string, params?: Params) => request('GET', url, null, params),
  expectedStatuses: () => null,
  /** The time of the test is never over: iterations are counted. */
  scenario: { progress: 0 },
};
