import assert from 'node:assert/strict';
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ProgramOptions, startProgram } from './program.ts';
import { freePort, temporaryFolder } from './system.ts';
import { until } from './wait.ts';

/** Text, or an object that is written as JSON, which Prometheus reads as YAML. */
type Yaml = string | object;

export interface PrometheusOptions {
  /** The configuration. Relative paths in it are in the server's own folder, where `files` are. */
  config: Yaml;
  /** Files beside the configuration by relative path: rules, targets for `file_sd_configs`, a token. */
  files?: Record<string, Yaml>;
  /** More of its flags, such as `--enable-feature=native-histograms`. */
  flags?: readonly string[];
  /** Default: the user who runs the test. */
  user?: ProgramOptions['user'];
}

/** One series of an instant vector. */
export interface Sample {
  /** Its labels; the name is `__name__`. */
  labels: Record<string, string>;
  /** NaN for a native histogram. */
  value: number;
  /** Unix time in seconds: of the evaluation, not of the scrape. */
  time: number;
  /** Count, sum and populated buckets `[boundary rule, lower, upper, count]` of a native histogram. */
  histogram?: { count: string; sum: string; buckets?: Array<[number, string, string, string]> };
}

/** One series of a range vector or of a range query. */
export interface Course {
  labels: Record<string, string>;
  /** Unix time in seconds and value, oldest first. */
  points: Array<[time: number, value: number]>;
}

export interface Target {
  labels: Record<string, string>;
  discoveredLabels: Record<string, string>;
  scrapePool: string;
  scrapeUrl: string;
  health: 'up' | 'down' | 'unknown';
  lastError: string;
  lastScrape: string;
}

/** A running Prometheus, asked over HTTP. */
export interface PrometheusApi {
  readonly url: string;
  /** Evaluates an expression. A scalar is one sample without labels. @param time Unix time in seconds; default: now */
  query(expression: string, time?: number): Promise<Sample[]>;
  /** The value of an expression that has exactly one. */
  value(expression: string, time?: number): Promise<number>;
  /** The raw points of a selector with a range, such as `up[1m]`. */
  points(rangeSelector: string, time?: number): Promise<Course[]>;
  /** Evaluates an expression at each step. Times are Unix times in seconds. */
  queryRange(expression: string, start: number, end: number, stepSeconds: number): Promise<Course[]>;
  /** The label sets of all series that match and have points in this range; default: since ever. */
  series(selector: string, start?: number, end?: number): Promise<Array<Record<string, string>>>;
  /** The targets that it scrapes now. */
  targets(): Promise<Target[]>;
  /**
   * Waits until each target that it has now, or those with an `instance` label in this list, has been scraped
   * successfully by a scrape that began after this call, and the samples can be queried.
   */
  scraped(instances?: readonly string[]): Promise<void>;
  /**
   * Any other endpoint of the API, such as `rules`, `alerts`, `query_exemplars`.
   * https://prometheus.io/docs/prometheus/latest/querying/api/
   *
   * @returns the answer's `data`
   * @throws with Prometheus' own error
   */
  api<T>(path: string, parameters?: Record<string, string>): Promise<T>;
}

/** Debian's Prometheus in a temporary folder. */
export interface Prometheus extends PrometheusApi {
  readonly pid: number;
  /** Its log so far. */
  output(): string;
  /** Writes one of its files in one step. Files of targets and of tokens are read anew by themselves, others by {@link reload}. */
  write(path: string, content: Yaml): Promise<void>;
  /** Reads the configuration and the rules again. @throws when they have a mistake */
  reload(): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

interface ApiSample {
  metric: Record<string, string>;
  value?: [number, string];
  histogram?: [number, NonNullable<Sample['histogram']>];
}

interface ApiCourse {
  metric: Record<string, string>;
  values?: Array<[number, string]>;
}

const API_DEADLINE_MS = 30_000;
/** Prometheus moves the time of a sample by up to 2 ms, so that samples compress better. */
const ALIGNMENT_MS = 5;

/** Starts Prometheus on a free port and waits until it answers queries. It stops when the test ends. */
export async function startPrometheus(t: TestContext, options: PrometheusOptions): Promise<Prometheus> {
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  async function write(path: string, content: Yaml): Promise<void> {
    const file = join(folder, 'config', path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(`${file}.new`, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
    await rename(`${file}.new`, file);
  }
  for (const [path, content] of Object.entries({ ...options.files, 'prometheus.yml': options.config })) {
    await write(path, content);
  }
  const data = join(folder, 'data');
  await mkdir(data);
  // Of the given user, who may be another.
  await chmod(data, 0o777);

  const address = `127.0.0.1:${await freePort()}`;
  const url = `http://${address}`;
  const flags = [
    `--config.file=${join(folder, 'config', 'prometheus.yml')}`,
    `--storage.tsdb.path=${data}`,
    `--web.listen-address=${address}`,
    '--web.enable-lifecycle',
    ...(options.flags ?? []),
  ];
  const program = await startProgram(t, 'prometheus', flags, {
    package: 'prometheus',
    ready: async () => (await fetch(`${url}/-/ready`)).ok,
    ...(options.user && { user: options.user }),
  });

  return {
    ...askPrometheus(url),
    pid: program.pid,
    output: program.output,
    stop: program.stop,
    write,
    async reload() {
      const response = await fetch(`${url}/-/reload`, { method: 'POST', signal: AbortSignal.timeout(API_DEADLINE_MS) });
      assert.equal(response.status, 200, await response.text());
    },
  };
}

/** Asks a Prometheus that runs at this URL. */
export function askPrometheus(url: string): PrometheusApi {
  async function api<T>(path: string, parameters: Record<string, string> = {}): Promise<T> {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`, {
      signal: AbortSignal.timeout(API_DEADLINE_MS),
    });
    const answer = (await response.json()) as { status: string; data: T; error?: string };
    assert.equal(answer.status, 'success', `${path} ${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  }

  async function query(expression: string, time?: number): Promise<Sample[]> {
    const { resultType, result } = await instant(expression, time);
    if (resultType === 'scalar') {
      const [at, value] = result as [number, string];
      return [{ labels: {}, value: numberOf(value), time: at }];
    }
    assert.equal(resultType, 'vector', `${expression} is no instant vector`);
    return (result as ApiSample[]).map(({ metric, value, histogram }) => {
      const [at = Number.NaN, text = 'NaN'] = value ?? [histogram?.[0]];
      return { labels: metric, value: numberOf(text), time: at, ...(histogram && { histogram: histogram[1] }) };
    });
  }

  const instant = (expression: string, time?: number) =>
    api<{ resultType: string; result: unknown }>('query', {
      query: expression,
      ...(time !== undefined && { time: String(time) }),
    });

  async function targets(): Promise<Target[]> {
    return (await api<{ activeTargets: Target[] }>('targets', { state: 'active' })).activeTargets;
  }

  return {
    url,
    query,
    async value(expression, time) {
      const samples = await query(expression, time);
      assert.equal(samples.length, 1, `${expression} has ${samples.length} values: ${JSON.stringify(samples)}`);
      return samples[0]?.value as number;
    },
    async points(rangeSelector, time) {
      const { resultType, result } = await instant(rangeSelector, time);
      assert.equal(resultType, 'matrix', `${rangeSelector} is no range vector`);
      return (result as ApiCourse[]).map(courseOf);
    },
    async queryRange(expression, start, end, stepSeconds) {
      const parameters = { query: expression, start: String(start), end: String(end), step: String(stepSeconds) };
      return (await api<{ result: ApiCourse[] }>('query_range', parameters)).result.map(courseOf);
    },
    series: (selector, start, end) =>
      api('series', {
        'match[]': selector,
        ...(start !== undefined && { start: String(start) }),
        ...(end !== undefined && { end: String(end) }),
      }),
    targets,
    async scraped(instances) {
      const after = (Date.now() + ALIGNMENT_MS) / 1000;
      let waiting: Target[] = [];
      await until('all targets have been scraped', async () => {
        // Only of a plain selector does timestamp() tell when the samples were taken.
        const times = new Map(
          (await query('timestamp(up) and up == 1')).map(({ labels, value }): [string, number] => [
            keyOf(labels),
            value,
          ]),
        );
        const expected = (await targets()).filter(({ labels }) => instances?.includes(labels.instance ?? '') ?? true);
        waiting = expected.filter(({ labels }) => !((times.get(keyOf(labels)) ?? 0) > after));
        return expected.length >= (instances?.length ?? 1) && waiting.length === 0;
      }).catch((error) => {
        const faults = waiting.map(({ scrapeUrl, health, lastError }) => `${scrapeUrl} ${health} ${lastError}`);
        throw new Error([error.message, ...faults].join('\n'));
      });
    },
    api,
  };
}

const numberOf = (text: string) => (/Inf/.test(text) ? Number(text.replace('Inf', 'Infinity')) : Number(text));

const courseOf = ({ metric, values = [] }: ApiCourse): Course => ({
  labels: metric,
  points: values.map(([time, value]) => [time, numberOf(value)]),
});

const keyOf = (labels: Record<string, string>) =>
  JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
