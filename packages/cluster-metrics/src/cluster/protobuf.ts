import type { Description, InstrumentType, NativeBuckets } from '../store/description.ts';
import type { Exemplar } from '../store/exemplars.ts';
import { type Buckets, NativeCounts } from '../store/native-buckets.ts';
import { bucketCounts, gaugeValue, isShown, nativeSeriesOf, summaryValues, unitOf, type View } from './exposition.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import { type Family, type Series, startOf } from './series-index.ts';

/*
 * Numbers of the fields in io.prometheus.client's messages:
 * https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
 */
const FAMILY = { name: 1, help: 2, type: 3, metric: 4, unit: 5 } as const;
const TYPES: Record<InstrumentType, number> = { counter: 0, gauge: 1, summary: 2, histogram: 4 };
const METRIC = { label: 1, gauge: 2, counter: 3, summary: 4, histogram: 7 } as const;
const LABEL = { name: 1, value: 2 } as const;
const GAUGE = { value: 1 } as const;
const COUNTER = { value: 1, exemplar: 2, start: 3 } as const;
const SUMMARY = { count: 1, sum: 2, quantile: 3, start: 4 } as const;
const QUANTILE = { quantile: 1, value: 2 } as const;
const HISTOGRAM = {
  count: 1,
  sum: 2,
  bucket: 3,
  schema: 5,
  zeroThreshold: 6,
  zeroCount: 7,
  negativeSpan: 9,
  negativeDelta: 10,
  positiveSpan: 12,
  positiveDelta: 13,
  start: 15,
} as const;
const BUCKET = { cumulativeCount: 1, upperBound: 2, exemplar: 3 } as const;
const EXEMPLAR = { label: 1, value: 2, timestamp: 3 } as const;
const SPAN = { offset: 1, length: 2 } as const;
const TIMESTAMP = { seconds: 1, nanos: 2 } as const;

/** A new span takes more bytes than this many empty buckets. client_golang has the same limit. */
const LONGEST_GAP = 2;

/**
 * Writes a view as messages `io.prometheus.client.MetricFamily`, each behind its length: the format that carries native
 * histograms and start timestamps.
 *
 * The bucket +Inf of a histogram is left out, since it is the count, unless it has an exemplar.
 *
 * The exemplars of a native histogram are those of its classic buckets: each version of Prometheus takes them from there,
 * unless the newer field for native exemplars has some.
 */
export function exposeProtobuf(view: View): Buffer {
  const writer = new ProtobufWriter();
  const counts = new NativeCounts();
  for (const family of view.families) {
    const { description, series } = family;
    const shown = [...series.values()].filter((each) => isShown(view, description, each));
    if (shown.length === 0) continue;
    const page = new FamilyWriter(view, writer, counts, family);
    page.write(shown);
    const { native } = description;
    if (description.type === 'summary' && native !== undefined) page.writeTwin(native, shown);
  }
  return writer.finish();
}

class FamilyWriter {
  readonly #view: View;
  readonly #writer: ProtobufWriter;
  readonly #counts: NativeCounts;
  readonly #source: Family;
  readonly #description: Description;

  /** @param counts room for the native buckets of one series */
  constructor(view: View, writer: ProtobufWriter, counts: NativeCounts, source: Family) {
    this.#view = view;
    this.#writer = writer;
    this.#counts = counts;
    this.#source = source;
    this.#description = source.description;
  }

  write(shown: readonly Series[]): void {
    const { name, type } = this.#description;
    const writeValue = {
      counter: (series: Series) => this.#counter(series),
      gauge: (series: Series) => this.#gauge(series),
      summary: (series: Series) => this.#summary(series),
      histogram: (series: Series) => this.#histogram(series, this.#description.native, true),
    }[type];
    this.#family(name, type, shown, writeValue);
  }

  /** The native histogram of a summary. */
  writeTwin(native: NativeBuckets, shown: readonly Series[]): void {
    this.#family(native.name, 'histogram', shown, (series) => this.#histogram(series, native, false));
  }

  #family(name: string, type: InstrumentType, shown: readonly Series[], writeValue: (series: Series) => void): void {
    const writer = this.#writer;
    const unit = unitOf(type === 'counter' ? name.replace(/_total$/, '') : name);
    writer.delimited(() => {
      writer.text(FAMILY.name, name);
      writer.text(FAMILY.help, this.#description.help);
      writer.unsigned(FAMILY.type, TYPES[type]);
      for (const series of shown) {
        writer.message(FAMILY.metric, () => {
          this.#labels(series, METRIC.label);
          writer.message(METRIC[type], () => writeValue(series));
        });
      }
      if (unit !== undefined) writer.text(FAMILY.unit, unit);
    });
  }

  #labels({ labels }: Pick<Series, 'labels'>, field: number): void {
    const writer = this.#writer;
    for (const name of Object.keys(labels)) {
      writer.message(field, () => {
        writer.text(LABEL.name, name);
        writer.text(LABEL.value, labels[name] as string);
      });
    }
  }

  #counter(series: Series): void {
    this.#writer.double(COUNTER.value, this.#first(series));
    this.#exemplar(COUNTER.exemplar, this.#view.exemplarsOf(series)?.get(0));
    this.#start(COUNTER.start, series);
  }

  #gauge(series: Series): void {
    this.#writer.double(GAUGE.value, gaugeValue(this.#view, this.#description, series));
  }

  #summary(series: Series): void {
    const writer = this.#writer;
    const { quantiles = [] } = this.#description;
    const { inWindow, count } = summaryValues(this.#view, this.#description, series);
    writer.unsigned(SUMMARY.count, count);
    writer.double(SUMMARY.sum, this.#first(series));
    for (const [i, quantile] of quantiles.entries()) {
      writer.message(SUMMARY.quantile, () => {
        writer.double(QUANTILE.quantile, quantile);
        writer.double(QUANTILE.value, inWindow[i] as number);
      });
    }
    this.#start(SUMMARY.start, series);
  }

  #histogram(series: Series, native: NativeBuckets | undefined, isClassic: boolean): void {
    const writer = this.#writer;
    const classic: ArrayLike<number> = isClassic ? bucketCounts(this.#view, this.#description, series) : [];
    const shown = native && this.#native(native, series);
    writer.unsigned(HISTOGRAM.count, shown?.count ?? sumOf(classic));
    writer.double(HISTOGRAM.sum, this.#first(series));
    const exemplars = isClassic ? this.#view.exemplarsOf(series) : undefined;
    const { buckets = [] } = this.#description;
    let cumulative = 0;
    for (let i = 0; i < classic.length; i++) {
      const exemplar = exemplars?.get(i);
      cumulative += classic[i] as number;
      if (i === buckets.length && exemplar === undefined) break;
      writer.message(HISTOGRAM.bucket, () => {
        writer.unsigned(BUCKET.cumulativeCount, cumulative);
        writer.double(BUCKET.upperBound, buckets[i] ?? Number.POSITIVE_INFINITY);
        this.#exemplar(BUCKET.exemplar, exemplar);
      });
    }
    if (shown !== undefined) this.#nativeBuckets(shown);
    this.#start(HISTOGRAM.start, series);
  }

  /**
   * The native buckets of a series, never finer than the page has shown before: for Prometheus, a finer schema or a
   * narrower zero bucket is a reset, after which it would count everything twice.
   */
  #native(native: NativeBuckets, series: Series): NativeCounts {
    const { isWhole } = this.#view;
    const counts = this.#counts;
    counts.read(nativeSeriesOf(this.#view, this.#description, series), {
      schema: isWhole ? Math.min(native.schema, series.schema) : native.schema,
      maxBuckets: native.maxBuckets,
      zeroThreshold: isWhole ? Math.max(native.zeroThreshold, series.zeroThreshold) : native.zeroThreshold,
    });
    if (isWhole) {
      series.schema = counts.schema;
      series.zeroThreshold = counts.zeroThreshold;
    }
    return counts;
  }

  #nativeBuckets({ schema, zeroThreshold, zeros, negative, positive }: NativeCounts): void {
    const writer = this.#writer;
    writer.signed(HISTOGRAM.schema, schema);
    writer.double(HISTOGRAM.zeroThreshold, zeroThreshold);
    writer.unsigned(HISTOGRAM.zeroCount, zeros);
    this.#buckets(HISTOGRAM.negativeSpan, HISTOGRAM.negativeDelta, negative);
    this.#buckets(HISTOGRAM.positiveSpan, HISTOGRAM.positiveDelta, positive);
    // Tells an empty native histogram from a classic one.
    if (zeros + negative.length + positive.length === 0) this.#span(HISTOGRAM.positiveSpan, 0, 0);
  }

  #buckets(spanField: number, deltaField: number, { indexes, counts, length: populated }: Buckets): void {
    const deltas: number[] = [];
    let last = 0;
    let next = 0;
    let offset = 0;
    let length = 0;
    const add = (count: number) => {
      deltas.push(count - last);
      last = count;
      length++;
    };
    for (let i = 0; i < populated; i++) {
      const index = indexes[i] as number;
      const gap = index - next;
      if (i === 0 || gap > LONGEST_GAP) {
        if (i > 0) this.#span(spanField, offset, length);
        offset = gap;
        length = 0;
      } else {
        for (let empty = 0; empty < gap; empty++) add(0);
      }
      add(counts[i] as number);
      next = index + 1;
    }
    if (deltas.length === 0) return;
    this.#span(spanField, offset, length);
    this.#writer.packedSigned(deltaField, deltas);
  }

  #span(field: number, offset: number, length: number): void {
    this.#writer.message(field, () => {
      this.#writer.signed(SPAN.offset, offset);
      this.#writer.unsigned(SPAN.length, length);
    });
  }

  #exemplar(field: number, exemplar: Exemplar | undefined): void {
    if (exemplar === undefined) return;
    this.#writer.message(field, () => {
      this.#labels(exemplar, EXEMPLAR.label);
      this.#writer.double(EXEMPLAR.value, exemplar.value);
      this.#timestamp(EXEMPLAR.timestamp, exemplar.timestampMs);
    });
  }

  #start(field: number, series: Series): void {
    const startMs = startOf(this.#source, series);
    if (startMs !== null) this.#timestamp(field, startMs);
  }

  /** @param ms since 1970 */
  #timestamp(field: number, ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.#writer.message(field, () => {
      this.#writer.unsigned(TIMESTAMP.seconds, seconds);
      this.#writer.unsigned(TIMESTAMP.nanos, Math.floor((ms - 1000 * seconds) * 1e6));
    });
  }

  #first({ slot }: Series): number {
    return this.#view.values[slot] as number;
  }
}

function sumOf(counts: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < counts.length; i++) sum += counts[i] as number;
  return sum;
}
