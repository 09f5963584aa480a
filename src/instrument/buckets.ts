/**
 * Seconds: OpenTelemetry's advice for `http.server.request.duration`.
 * https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
 */
export const DURATION_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Bytes: powers of four, from a redirect to a large picture. */
export const SIZE_BUCKETS_BYTES = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];
