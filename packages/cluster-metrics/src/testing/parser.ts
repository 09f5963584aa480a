/** One line with a value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Name and labels in one text, the labels by the alphabet: the same for the same series in every scrape. */
  readonly series: string;
  /** Type of its family; `untyped` (OpenMetrics: `unknown`) where the page tells none. */
  readonly type: string;
  /** Of a counter or a bucket in OpenMetrics, where the page has one. */
  readonly exemplar?: Exemplar;
}

export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** In seconds since 1970; undefined where the page tells none. */
  readonly timestamp: number | undefined;
}

/** A page that a scraper would refuse, or could misread. `message` names the line and shows it. */
export class ExpositionError extends Error {
  override readonly name = 'ExpositionError';
  /** From 1. */
  readonly line: number;

  constructor(line: number, text: string, problem: string) {
    super(`line ${line}: ${problem}: ${text}`);
    this.line = line;
  }
}

interface Family {
  readonly name: string;
  type: string;
  hasHelp: boolean;
  hasSamples: boolean;
  /** The buckets so far, by series; of histograms only. */
  readonly buckets: Map<string, Buckets>;
}

/** The buckets of one series of a histogram. */
interface Buckets {
  le: number;
  observations: number;
  /** The value of the sample `_count`. */
  count?: number;
}

type Format = 'text' | 'openMetrics';

/** Suffixes of a family's samples, by type; the empty one means the family's own name. */
const SUFFIXES: Record<Format, Record<string, readonly string[]>> = {
  text: {
    counter: [''],
    gauge: [''],
    untyped: [''],
    histogram: ['_bucket', '_sum', '_count'],
    summary: ['', '_sum', '_count'],
  },
  openMetrics: {
    counter: ['_total', '_created'],
    gauge: [''],
    unknown: [''],
    histogram: ['_bucket', '_sum', '_count', '_created'],
    summary: ['', '_sum', '_count', '_created'],
    info: ['_info'],
    stateset: [''],
    gaugehistogram: ['_bucket', '_gsum', '_gcount'],
  },
};

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const INFINITY = /^([+-]?)inf(?:inity)?$/i;
const LABELS = String.raw`\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}`;
const LINES = {
  text: new RegExp(
    String.raw`^[ \t]*([a-zA-Z_:][\w:]*)[ \t]*(${LABELS})?[ \t]*(?<=[ \t}])(\S+)(?:[ \t]+(-?\d+))?[ \t]*$`,
  ),
  openMetrics: new RegExp(
    String.raw`^([a-zA-Z_:][\w:]*)(${LABELS})? (\S+)(?: (-?[\d.]+))?(?: # (${LABELS}) (\S+)(?: (-?[\d.]+))?)?$`,
  ),
};
const LABEL = /[ \t]*([a-zA-Z_]\w*)[ \t]*=[ \t]*"((?:[^"\\]|\\[\\"n])*)"[ \t]*(,|$)/y;
/** Code points. */
const MAX_EXEMPLAR_CHARACTERS = 128;

/**
 * Reads Prometheus' text format 0.0.4 or OpenMetrics 1.0, which a page is that ends with `# EOF`.
 *
 * Stricter than Prometheus: refuses also what it would only warn of or show wrongly, such as the samples of one family
 * in two places, or buckets that do not ascend.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * @param contentType of the response, where it is known: an OpenMetrics page that was cut off is told from text by it
 * @throws {ExpositionError} at the first line that is wrong
 */
export function parseSamples(text: string, contentType?: string): Sample[] {
  const isWhole = text.endsWith('# EOF\n');
  const isOpenMetrics = contentType?.startsWith('application/openmetrics-text') ?? isWhole;
  const lines = text.split('\n');
  const last = lines.pop() as string;
  if (last !== '') throw new ExpositionError(lines.length + 1, last, 'the line feed at the end is missing');
  if (isOpenMetrics && !isWhole) throw new ExpositionError(lines.length, lines.at(-1) ?? '', '# EOF is missing');
  if (isOpenMetrics) lines.pop();
  const parser = new Parser(isOpenMetrics ? 'openMetrics' : 'text');
  for (const line of lines) parser.read(line);
  return parser.end();
}

class Parser {
  readonly #format: Format;
  readonly #samples: Sample[] = [];
  readonly #series = new Set<string>();
  readonly #families = new Set<string>();
  /** The one that the lines are about just now. */
  #family: Family | undefined;
  #line = '';
  #number = 0;
  readonly #refuse = (problem: string): never => {
    throw new ExpositionError(this.#number, this.#line, problem);
  };

  constructor(format: Format) {
    this.#format = format;
  }

  read(line: string): void {
    this.#line = line;
    this.#number++;
    if (line.startsWith('#')) this.#readComment();
    else if (line.trim() !== '') this.#readSample();
    else if (this.#format === 'openMetrics') this.#refuse('OpenMetrics has no blank lines');
  }

  end(): Sample[] {
    this.#close();
    return this.#samples;
  }

  #readComment(): void {
    const [, keyword, name = '', rest = ''] =
      /^#[ \t]+(HELP|TYPE|UNIT)[ \t]+(\S+)(?:[ \t]+(.*))?$/.exec(this.#line) ?? [];
    if (keyword === undefined) {
      if (this.#format === 'openMetrics') this.#refuse('OpenMetrics has no comments but HELP, TYPE, UNIT');
      return;
    }
    const family = this.#open(name);
    if (family.hasSamples) this.#refuse(`${keyword} stands behind samples of ${name}`);
    if (keyword === 'HELP') {
      if (family.hasHelp) this.#refuse(`a second HELP of ${name}`);
      family.hasHelp = true;
    } else if (keyword === 'TYPE') {
      if (!isUntyped(family)) this.#refuse(`a second TYPE of ${name}`);
      if (SUFFIXES[this.#format][rest] === undefined) this.#refuse(`there is no type ${rest}`);
      family.type = rest;
    } else if (rest !== '' && !name.endsWith(`_${rest}`)) {
      this.#refuse(`the name does not end with its unit, ${rest}`);
    }
  }

  #readSample(): void {
    const [, name = '', labelText = '', valueText = '', , exemplarText, exemplarValue = '', exemplarTime] =
      LINES[this.#format].exec(this.#line) ?? [];
    if (name === '') this.#refuse('this is no sample');
    const family = this.#familyOf(name);
    const { labels, inOrder, withoutLe } = readLabels(labelText, this.#refuse);
    const value = this.#readNumber(valueText);
    const series = name + inOrder;
    if (this.#series.has(series)) this.#refuse('this series is on the page already');
    this.#series.add(series);

    const suffix = name.slice(family.name.length);
    if (family.type === 'summary' && suffix === '') this.#readNumber(labels.quantile ?? '');
    if (family.type === 'histogram') {
      const histogram = family.name + (suffix === '_bucket' ? withoutLe : inOrder);
      this.#checkBuckets(family, suffix, histogram, labels.le ?? '', value);
    }
    const sample = { name, labels, value, series, type: family.type };
    if (exemplarText === undefined) {
      this.#samples.push(sample);
      return;
    }
    if (suffix !== '_total' && suffix !== '_bucket') this.#refuse('only counters and buckets have exemplars');
    const exemplar = this.#readExemplar(exemplarText, exemplarValue, exemplarTime);
    this.#samples.push({ ...sample, exemplar });
  }

  #readExemplar(labelText: string, value: string, timestamp: string | undefined): Exemplar {
    const { labels } = readLabels(labelText, this.#refuse);
    const characters = [...Object.entries(labels).flat().join('')];
    if (characters.length > MAX_EXEMPLAR_CHARACTERS) this.#refuse('the labels of the exemplar are too long');
    return {
      labels,
      value: this.#readNumber(value),
      timestamp: timestamp === undefined ? undefined : Number(timestamp),
    };
  }

  /** The current family, if the name is one of its samples'; else the sample begins a family without a type. */
  #familyOf(sample: string): Family {
    const { name, type = '' } = this.#family ?? {};
    const suffixes = SUFFIXES[this.#format][type] ?? [];
    const isOfCurrent = name !== undefined && suffixes.some((suffix) => name + suffix === sample);
    if (!isOfCurrent && name === sample) this.#refuse(`a sample of a ${type} has another name`);
    const family = this.#open(isOfCurrent ? name : sample);
    family.hasSamples = true;
    return family;
  }

  #open(name: string): Family {
    if (this.#family?.name === name) return this.#family;
    this.#close();
    if (this.#families.has(name)) this.#refuse(`the lines of ${name} stand in two places`);
    this.#families.add(name);
    const type = this.#format === 'text' ? 'untyped' : 'unknown';
    this.#family = { name, type, hasHelp: false, hasSamples: false, buckets: new Map() };
    return this.#family;
  }

  /** The last bucket of each series, `+Inf`, is its count. */
  #close(): void {
    for (const [series, { le, observations, count }] of this.#family?.buckets ?? []) {
      if (le !== Number.POSITIVE_INFINITY) this.#refuse(`before this line, ${series} lacks the bucket +Inf`);
      if (observations !== count)
        this.#refuse(`before this line, ${series} counts ${count}, its buckets ${observations}`);
    }
  }

  #checkBuckets(family: Family, suffix: string, series: string, le: string, value: number): void {
    const buckets = family.buckets.get(series) ?? { le: Number.NEGATIVE_INFINITY, observations: 0 };
    family.buckets.set(series, buckets);
    if (suffix === '_count') buckets.count = value;
    if (suffix !== '_bucket') return;
    const bound = this.#readNumber(le);
    if (!(bound > buckets.le)) this.#refuse('the buckets do not ascend');
    if (value < buckets.observations) this.#refuse('a bucket holds less than the one before it');
    buckets.le = bound;
    buckets.observations = value;
  }

  #readNumber(text: string): number {
    if (NUMBER.test(text)) return Number(text);
    if (/^nan$/i.test(text)) return Number.NaN;
    const [match, sign] = INFINITY.exec(text) ?? [];
    if (match === undefined) this.#refuse(`${JSON.stringify(text)} is no number`);
    return sign === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
}

function isUntyped({ type }: Family): boolean {
  return type === 'untyped' || type === 'unknown';
}

export interface ReadLabels {
  readonly labels: Readonly<Record<string, string>>;
  /** The labels in braces, escaped, by the alphabet; empty without labels. */
  readonly inOrder: string;
  /** The same without the label `le`. */
  readonly withoutLe: string;
}

/** Labels by their text on a page: the next scrape has the same ones. */
const known = new Map<string, ReadLabels>();
const MAX_KNOWN = 10_000;

/**
 * @param text in braces, or empty
 * @param refuse called with the problem
 */
export function readLabels(text: string, refuse: (problem: string) => never): ReadLabels {
  const earlier = known.get(text);
  if (earlier !== undefined) return earlier;
  // A copy, since a part of a string keeps the whole page in memory.
  const copy = Buffer.from(text).toString();
  const read = readNewLabels(copy, refuse);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(copy, read);
  return read;
}

function readNewLabels(text: string, refuse: (problem: string) => never): ReadLabels {
  const inner = text.slice(1, -1).trim();
  const labels: [string, string][] = [];
  const pairs: string[] = [];
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < inner.length) {
    const match = LABEL.exec(inner);
    if (match === null) return refuse('unreadable labels');
    const [, label = '', escaped = ''] = match;
    if (labels.some(([earlier]) => earlier === label)) refuse(`the label ${label} twice`);
    if (label === '__name__') refuse('the label __name__, which is the name itself');
    labels.push([label, escaped.includes('\\') ? escaped.replace(/\\(.)/g, unescaped) : escaped]);
    pairs.push(`${label}="${escaped}"`);
  }
  pairs.sort();
  return {
    labels: Object.freeze(Object.fromEntries(labels)),
    inOrder: inBraces(pairs),
    withoutLe: inBraces(pairs.filter((pair) => !pair.startsWith('le="'))),
  };
}

function inBraces(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function unescaped(_: string, char: string): string {
  return char === 'n' ? '\n' : char;
}
