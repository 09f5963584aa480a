import assert from 'node:assert/strict';

export type Labels = Record<string, string | number>;

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** The samples of one scrape. */
export interface Scrape {
  readonly text: string;
  readonly samples: readonly Sample[];
  /** Sum of the samples that carry these labels; fails when there is none. */
  of(name: string, labels?: Labels): number;
  /** Whether any sample carries these labels. */
  has(name: string, labels?: Labels): boolean;
  /** Exact differences: `after.since(before).of(name)`. */
  since(before: Scrape): { of(name: string, labels?: Labels): number };
}

/** Reads Prometheus's text format 0.0.4, and as much of OpenMetrics as it shares. */
export function parseExposition(text: string): Scrape {
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseSample);

  function matching(name: string, labels: Labels): Sample[] {
    const wanted = Object.entries(labels);
    return samples.filter(
      (sample) => sample.name === name && wanted.every(([label, value]) => sample.labels[label] === String(value)),
    );
  }

  const scrape: Scrape = {
    text,
    samples,
    of(name, labels = {}) {
      const found = matching(name, labels);
      assert.notEqual(found.length, 0, `no sample ${name}${JSON.stringify(labels)}`);
      return found.reduce((sum, { value }) => sum + value, 0);
    },
    has: (name, labels = {}) => matching(name, labels).length > 0,
    since: (before) => ({
      of: (name, labels) => scrape.of(name, labels) - (before.has(name, labels) ? before.of(name, labels) : 0),
    }),
  };
  return scrape;
}

function parseSample(line: string): Sample {
  const [, name, labelText = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  assert.ok(name && value, `not a sample: ${line}`);
  const labels: Record<string, string> = {};
  for (const [, label, escaped] of labelText.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[label as string] = (escaped as string).replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char));
  }
  return { name, labels, value: parseValue(value) };
}

function parseValue(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  return Number(text);
}
