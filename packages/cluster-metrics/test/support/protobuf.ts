import protobuf from 'protobufjs';

/** The messages of an exposition as Prometheus defines them: names, numbers and types of io.prometheus.client's fields. */
const DEFINITION = `
syntax = "proto2";
package io.prometheus.client;
message Timestamp { optional int64 seconds = 1; optional int32 nanos = 2; }
message LabelPair { optional string name = 1; optional string value = 2; }
enum MetricType { COUNTER = 0; GAUGE = 1; SUMMARY = 2; UNTYPED = 3; HISTOGRAM = 4; GAUGE_HISTOGRAM = 5; }
message Gauge { optional double value = 1; }
message Counter {
  optional double value = 1;
  optional Exemplar exemplar = 2;
  optional Timestamp created_timestamp = 3;
}
message Quantile { optional double quantile = 1; optional double value = 2; }
message Summary {
  optional uint64 sample_count = 1;
  optional double sample_sum = 2;
  repeated Quantile quantile = 3;
  optional Timestamp created_timestamp = 4;
}
message Untyped { optional double value = 1; }
message Histogram {
  optional uint64 sample_count = 1;
  optional double sample_sum = 2;
  repeated Bucket bucket = 3;
  optional double sample_count_float = 4;
  optional sint32 schema = 5;
  optional double zero_threshold = 6;
  optional uint64 zero_count = 7;
  optional double zero_count_float = 8;
  repeated BucketSpan negative_span = 9;
  repeated sint64 negative_delta = 10;
  repeated double negative_count = 11;
  repeated BucketSpan positive_span = 12;
  repeated sint64 positive_delta = 13;
  repeated double positive_count = 14;
  optional Timestamp created_timestamp = 15;
  repeated Exemplar exemplars = 16;
}
message Bucket {
  optional uint64 cumulative_count = 1;
  optional double upper_bound = 2;
  optional Exemplar exemplar = 3;
  optional double cumulative_count_float = 4;
}
message BucketSpan { optional sint32 offset = 1; optional uint32 length = 2; }
message Exemplar { repeated LabelPair label = 1; optional double value = 2; optional Timestamp timestamp = 3; }
message Metric {
  repeated LabelPair label = 1;
  optional Gauge gauge = 2;
  optional Counter counter = 3;
  optional Summary summary = 4;
  optional Untyped untyped = 5;
  optional int64 timestamp_ms = 6;
  optional Histogram histogram = 7;
}
message MetricFamily {
  optional string name = 1;
  optional string help = 2;
  optional MetricType type = 3;
  repeated Metric metric = 4;
  optional string unit = 5;
}`;

const MetricFamily = protobuf.parse(DEFINITION).root.lookupType('io.prometheus.client.MetricFamily');

interface Timestamp {
  seconds: number;
  nanos: number;
}

export interface Exemplar {
  label: { name: string; value: string }[];
  value: number;
  timestamp: Timestamp;
}

export interface Histogram {
  sampleCount: number;
  sampleSum: number;
  bucket?: { cumulativeCount: number; upperBound: number; exemplar?: Exemplar }[];
  schema?: number;
  zeroThreshold?: number;
  zeroCount?: number;
  negativeSpan?: Span[];
  negativeDelta?: number[];
  positiveSpan?: Span[];
  positiveDelta?: number[];
  createdTimestamp?: Timestamp;
}

export interface Span {
  offset: number;
  length: number;
}

export interface Metric {
  label?: { name: string; value: string }[];
  counter?: { value: number; exemplar?: Exemplar; createdTimestamp?: Timestamp };
  gauge?: { value: number };
  summary?: {
    sampleCount: number;
    sampleSum: number;
    quantile?: { quantile: number; value: number }[];
    createdTimestamp?: Timestamp;
  };
  histogram?: Histogram;
}

/** A family as protobufjs reads it. Fields that the message does not have are left out. */
export interface Family {
  name: string;
  help: string;
  type: string;
  metric: Metric[];
  unit?: string;
}

/**
 * Reads a page in protobuf with a decoder that is not ours.
 *
 * @returns the families by name
 * @throws when it is no sequence of whole messages, or a name stands in it twice
 */
export function readProtobuf(page: Buffer): Map<string, Family> {
  const families = new Map<string, Family>();
  const reader = protobuf.Reader.create(page);
  while (reader.pos < reader.len) {
    const family = MetricFamily.toObject(MetricFamily.decodeDelimited(reader), { longs: Number, enums: String });
    if (families.has(family.name)) throw new Error(`${family.name} stands twice`);
    families.set(family.name, family as Family);
  }
  return families;
}

/** Count by index of the native buckets of one sign. @throws when spans and deltas do not fit each other */
export function readBuckets(spans: Span[] = [], deltas: number[] = []): Map<number, number> {
  const buckets = new Map<number, number>();
  let index = 0;
  let count = 0;
  let next = 0;
  for (const [i, { offset, length }] of spans.entries()) {
    if (i > 0 && offset < 0) throw new Error(`span ${i} goes back`);
    index += offset;
    for (let n = 0; n < length; n++) {
      count += deltas[next++] as number;
      if (!(count >= 0)) throw new Error(`bucket ${index} has ${count}`);
      buckets.set(index++, count);
    }
  }
  if (next !== deltas.length) throw new Error(`${deltas.length} deltas for ${next} buckets`);
  return buckets;
}

/** The milliseconds since 1970 of a start. */
export function toMs({ seconds, nanos }: Timestamp): number {
  return 1000 * seconds + nanos / 1e6;
}
