import type { Description } from '../store/description.ts';
import { bucketCounts, gaugeValue, isShown, summaryValues, type View } from './exposition.ts';
import type { Series } from './series-index.ts';
import type { Labels, Sample } from './types.ts';

/** Everything of a sample but its value. */
type SampleName = Omit<Sample, 'value'>;

/** The names of the samples of one series. They follow its metric's quantiles, which a reload may change. */
interface SeriesNames {
  readonly quantiles: string | undefined;
  readonly names: readonly SampleName[];
}

/** Reads the samples of a view. Makes the names of a series' samples once. */
export class SampleReader {
  readonly #known = new WeakMap<Series, SeriesNames>();

  /** @param metrics names of the metrics to read. Default: all */
  read(view: View, metrics?: ReadonlySet<string>): Sample[] {
    const samples: Sample[] = [];
    for (const { description, series } of view.families) {
      if (metrics !== undefined && !metrics.has(description.name)) continue;
      const quantiles = description.quantiles?.join();
      for (const each of series.values()) {
        if (!isShown(view, description, each)) continue;
        const names = this.#namesOf(description, each, quantiles);
        const values = valuesOf(view, description, each);
        for (let i = 0; i < names.length; i++) {
          const { name, labels } = names[i] as SampleName;
          samples.push({ name, labels, value: values[i] as number });
        }
      }
    }
    return samples;
  }

  #namesOf(description: Description, series: Series, quantiles: string | undefined): readonly SampleName[] {
    const known = this.#known.get(series);
    if (known !== undefined && known.quantiles === quantiles) return known.names;
    const names = namesOf(description, series);
    this.#known.set(series, { quantiles, names });
    return names;
  }
}

/** In the order of `valuesOf`. */
function namesOf({ name, type, buckets = [], quantiles = [] }: Description, { labels }: Series): SampleName[] {
  const totals = ['_sum', '_count'].map((suffix) => ({ name: `${name}${suffix}`, labels }));
  switch (type) {
    case 'counter':
    case 'gauge':
      return [{ name, labels }];
    case 'histogram': {
      const bounds = [...buckets.map(String), '+Inf'];
      return [...bounds.map((le) => ({ name: `${name}_bucket`, labels: withLabel(labels, 'le', le) })), ...totals];
    }
    case 'summary':
      return [...quantiles.map((q) => ({ name, labels: withLabel(labels, 'quantile', String(q)) })), ...totals];
  }
}

function withLabel(labels: Labels, name: string, value: string): Labels {
  return Object.freeze({ ...labels, [name]: value });
}

/** The values of a series in the order of its lines on the page. */
function valuesOf(view: View, description: Description, series: Series): number[] {
  const first = view.values[series.slot] as number;
  switch (description.type) {
    case 'counter':
      return [first];
    case 'gauge':
      return [gaugeValue(view, description, series)];
    case 'histogram': {
      const values: number[] = [];
      const counts = bucketCounts(view, description, series);
      let count = 0;
      for (let i = 0; i < counts.length; i++) {
        count += counts[i] as number;
        values.push(count);
      }
      return [...values, first, count];
    }
    case 'summary': {
      const { inWindow, count } = summaryValues(view, description, series);
      return [...inWindow, first, count];
    }
  }
}
