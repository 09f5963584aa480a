import { parseSamples, readLabels, type Sample } from './parser.ts';

/** Values that samples must have. `''` also selects samples that do not have the label. */
export type Labels = Readonly<Record<string, string | number>>;

/** The samples of one scrape. A `selector` is a name, alone or with labels: `http_requests_total{method="GET"}`. */
export interface Exposition {
  readonly text: string;
  readonly samples: readonly Sample[];
  /**
   * The sum of all samples that have these labels; they may have others too.
   *
   * @throws when there is none
   */
  of(selector: string, labels?: Labels): number;
  /** The same, or undefined when there is none. */
  get(selector: string, labels?: Labels): number | undefined;
  /** Whether a sample has these labels. */
  has(selector: string, labels?: Labels): boolean;
  /** How much was added since an earlier scrape; what it did not show counts as 0. */
  since(before: Exposition): { of(selector: string, labels?: Labels): number };
  /**
   * What went back or vanished since an earlier scrape though it may only grow: counters, and the buckets, sums and
   * counts of histograms and summaries. One sentence for each; empty is good.
   */
  decreases(before: Exposition): string[];
}

/**
 * Reads a page in Prometheus' text format 0.0.4 or in OpenMetrics 1.0.
 *
 * @param contentType of the response, where it is known. Without it, a page that ends with `# EOF` is OpenMetrics, and
 *   one that was cut off is read as text
 * @throws {ExpositionError} that names the line, for a page that a scraper would refuse or could misread
 */
export function parseExposition(text: string, contentType?: string): Exposition {
  const samples = parseSamples(text, contentType);
  const byName = new Map<string, Sample[]>();
  for (const sample of samples) {
    const namesakes = byName.get(sample.name);
    if (namesakes === undefined) byName.set(sample.name, [sample]);
    else namesakes.push(sample);
  }

  function select(selector: string, labels: Labels = {}): Sample[] {
    const { name, wanted } = readSelector(selector, labels);
    return (byName.get(name) ?? []).filter((sample) =>
      wanted.every(([label, value]) => labelOf(sample, label) === value),
    );
  }

  const exposition: Exposition = {
    text,
    samples,
    of(selector, labels) {
      const value = exposition.get(selector, labels);
      if (value !== undefined) return value;
      const { name, wanted } = readSelector(selector, labels);
      const namesakes = (byName.get(name) ?? []).map(({ series }) => series);
      const hint = namesakes.length === 0 ? 'nothing has this name' : `there are ${namesakes.slice(0, 10).join(', ')}`;
      const labelText = wanted.map(([label, value]) => `${label}=${JSON.stringify(value)}`).join(',');
      throw new Error(`There is no sample ${name}${labelText === '' ? '' : `{${labelText}}`}: ${hint}`);
    },
    get(selector, labels) {
      const found = select(selector, labels);
      return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
    },
    has: (selector, labels) => select(selector, labels).length > 0,
    since: (before) => ({
      of: (selector, labels) => exposition.of(selector, labels) - (before.get(selector, labels) ?? 0),
    }),
    decreases(before) {
      const now = new Map(samples.map(({ series, value }) => [series, value]));
      return before.samples.filter(isMonotone).flatMap(({ series, value }) => {
        const later = now.get(series);
        if (later === undefined) return [`${series} was ${value}, then it was missing`];
        return later >= value || Object.is(later, value) ? [] : [`${series} was ${value}, then ${later}`];
      });
    },
  };
  return exposition;
}

function readSelector(selector: string, labels: Labels = {}): { name: string; wanted: [string, string][] } {
  const brace = selector.indexOf('{');
  const { labels: inBraces } = readLabels(brace === -1 ? '' : selector.slice(brace), (problem) => {
    throw new TypeError(`${problem}: ${selector}`);
  });
  const wanted = Object.entries({ ...inBraces, ...labels }).map(([label, value]): [string, string] => [
    label,
    `${value}`,
  ]);
  return { name: brace === -1 ? selector : selector.slice(0, brace), wanted };
}

function labelOf({ labels }: Sample, label: string): string {
  return Object.hasOwn(labels, label) ? (labels[label] as string) : '';
}

function isMonotone({ name, type }: Sample): boolean {
  if (type === 'counter') return !name.endsWith('_created');
  return (type === 'histogram' || type === 'summary') && /_(?:bucket|sum|count)$/.test(name);
}
