/** What a run is told by its environment: `k6 run -e SHOP_RATE=5 k6/load.ts`. docs/load.md explains each variable. */
export interface Settings {
  /** Of the shop, without a slash at its end. */
  readonly baseUrl: string;
  /** One `/metrics` of each instance: their values are added up. */
  readonly metricsUrls: readonly string[];
  /** The shop's METRICS_TOKEN, where it has one. */
  readonly metricsToken: string | undefined;
  /** Length of the whole test, without the visits that end after it. */
  readonly durationSeconds: number;
  /** New shoppers a second, at the height of the test. */
  readonly rate: number;
  /** Seconds that a shopper looks at a page, on average. */
  readonly thinkSeconds: number;
  /** Whether the books are kept: what k6 did against what the metrics counted. */
  readonly account: boolean;
  /** Where the summary is written as JSON; empty for nowhere. */
  readonly summaryFile: string;
}

export interface Defaults {
  readonly duration: string;
  readonly rate: number;
  /** Seconds; default 1. */
  readonly think?: number;
}

const UNIT_SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/**
 * Names begin with `SHOP_`, since k6 takes those that begin with `K6_` for its own options: `K6_VUS` would replace a
 * script's scenario.
 *
 * @throws {Error} which names every mistake
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>, defaults: Defaults): Settings {
  const mistakes: string[] = [];

  /** An empty variable has its default. */
  const text = (name: string, fallback: string) => env[name] || fallback;

  function url(name: string, value: string): string {
    if (!/^https?:\/\/[^/\s,]+/.test(value))
      mistakes.push(`${name} must be an address like http://127.0.0.1:5000, and is ${value}`);
    return value.replace(/\/+$/, '');
  }

  function number(name: string, fallback: number, least: number, most: number): number {
    const value = Number(text(name, String(fallback)));
    if (!(value >= least && value <= most)) {
      mistakes.push(`${name} must be a number from ${least} to ${most}, and is ${env[name]}`);
    }
    return value;
  }

  function flag(name: string): boolean {
    const value = text(name, 'true');
    if (value !== 'true' && value !== 'false') mistakes.push(`${name} must be true or false, and is ${value}`);
    return value === 'true';
  }

  function duration(name: string): number {
    const value = text(name, defaults.duration);
    const seconds = parseDuration(value);
    if (seconds === null) mistakes.push(`${name} must be a time like 10s, 5m or 1h30m, and is ${value}`);
    return seconds ?? 0;
  }

  const baseUrl = url('BASE_URL', text('BASE_URL', 'http://127.0.0.1:5000'));
  const settings: Settings = {
    baseUrl,
    metricsUrls: text('SHOP_METRICS_URL', `${baseUrl}/metrics`)
      .split(',')
      .map((each) => url('SHOP_METRICS_URL', each.trim())),
    metricsToken: env.SHOP_METRICS_TOKEN || undefined,
    durationSeconds: duration('SHOP_DURATION'),
    rate: number('SHOP_RATE', defaults.rate, 0.1, 10_000),
    thinkSeconds: number('SHOP_THINK', defaults.think ?? 1, 0, 60),
    account: flag('ACCOUNT'),
    // An empty one is a choice here.
    summaryFile: env.SHOP_SUMMARY ?? 'k6-summary.json',
  };
  if (mistakes.length > 0) throw new Error(`${mistakes.join('; ')}.`);
  return settings;
}

/** @returns seconds; null for what is no time as k6 and Go write it, or no time at all */
function parseDuration(text: string): number | null {
  const parts = text.match(/\d+(\.\d+)?(ms|s|m|h)/g) ?? [];
  if (parts.join('') !== text) return null;
  const seconds = parts.reduce((sum, part) => {
    const [, amount = '', unit = ''] = /^([\d.]+)(\D+)$/.exec(part) ?? [];
    return sum + Number(amount) * (UNIT_SECONDS[unit] ?? 0);
  }, 0);
  return seconds > 0 ? seconds : null;
}
