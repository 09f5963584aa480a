import { type ExpositionOptions, PROTOBUF_CONTENT_TYPE } from '../cluster/cluster-registry.ts';

/** A form in which a scrape can be sent. */
export interface Format {
  readonly name: FormatName;
  /** Sent as `Content-Type`, and what the registry knows the format by. */
  readonly contentType: NonNullable<ExpositionOptions['contentType']>;
  readonly mediaType: string;
  /** Values that a parameter in `Accept` may have. Parameters that are not named here narrow nothing. */
  readonly parameters: Readonly<Record<string, readonly string[]>>;
}

export type FormatName = 'text' | 'openmetrics' | 'protobuf';

/** By preference, for a client that prefers none. The first is what a client gets that accepts none of them. */
export const FORMATS: readonly Format[] = [
  {
    name: 'text',
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    mediaType: 'text/plain',
    // Version 1.0.0 adds only names in quotes, which are never needed here: a page that is valid as 0.0.4 is valid as 1.0.0.
    parameters: { version: ['0.0.4', '1.0.0'] },
  },
  {
    name: 'openmetrics',
    contentType: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
    mediaType: 'application/openmetrics-text',
    // Prometheus asks for 0.0.1 beside 1.0.0 and reads both alike.
    parameters: { version: ['1.0.0', '0.0.1'] },
  },
  {
    name: 'protobuf',
    contentType: PROTOBUF_CONTENT_TYPE,
    mediaType: 'application/vnd.google.protobuf',
    parameters: { proto: ['io.prometheus.client.MetricFamily'], encoding: ['delimited'] },
  },
];

/** One member of `Accept` or `Accept-Encoding`. */
interface Preference {
  /** In lower case: a media range or a content coding. */
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly q: number;
}

/** How well a format suits. */
interface Match {
  readonly q: number;
  /** Of the range that matched: 2 names the media type, 1 its first half, 0 any. */
  readonly specificity: number;
}

/**
 * Chooses the format that `Accept` prefers (RFC 9110, section 12.5.1): the greatest `q`, then the one that is named
 * rather than meant by a wildcard, then the first of `formats`. The order of the header means nothing.
 *
 * A client that accepts none of them gets the first, as client_golang does: a scraper can say more about a page that it
 * can't read than about a status 406.
 *
 * @param formats by preference, not empty
 */
export function chooseFormat(accept: string | undefined, formats: readonly Format[]): Format {
  const ranges = readPreferences(accept);
  const [best] = formats
    .map((format) => ({ format, ...matchOf(format, ranges) }))
    .filter(({ q }) => q > 0)
    .sort((a, b) => b.q - a.q || b.specificity - a.specificity);
  return best?.format ?? (formats[0] as Format);
}

/**
 * Whether `Accept-Encoding` prefers gzip to the plain text (RFC 9110, section 12.5.3). An absent header allows every
 * coding, but its client may know none: it gets the plain text.
 */
export function prefersGzip(acceptEncoding: string | undefined): boolean {
  const codings = readPreferences(acceptEncoding);
  const qOf = (...names: string[]) => codings.find(({ value }) => names.includes(value))?.q;
  const any = qOf('*');
  const gzip = qOf('gzip', 'x-gzip') ?? any ?? 0;
  return gzip > 0 && gzip >= (qOf('identity') ?? 0);
}

/** Members whose `q` can't be read are left out. */
function readPreferences(header = ''): Preference[] {
  return header.split(',').flatMap((member) => {
    const [value = '', ...rest] = member.split(';').map((part) => part.trim());
    const parameters = new Map(rest.map(readParameter));
    const q = parameters.get('q') ?? '1';
    if (value === '' || !/^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(q)) return [];
    return [{ value: value.toLowerCase(), parameters, q: Number(q) }];
  });
}

function readParameter(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals === -1) return [text.toLowerCase(), ''];
  const value = text.slice(equals + 1).trim();
  return [text.slice(0, equals).trim().toLowerCase(), value.replace(/^"(.*)"$/, '$1')];
}

/** The most specific ranges decide, of these the one with the greatest `q`. */
function matchOf({ mediaType, parameters }: Format, ranges: readonly Preference[]): Match {
  const [type] = mediaType.split('/');
  const matches = ranges
    .filter(({ parameters: asked }) =>
      Object.entries(parameters).every(
        ([name, values]) => !asked.has(name) || values.includes(asked.get(name) as string),
      ),
    )
    .map(({ value, q }) => ({ q, specificity: ['*/*', `${type}/*`, mediaType].indexOf(value) }))
    .filter(({ specificity }) => specificity >= 0)
    .sort((a, b) => b.specificity - a.specificity || b.q - a.q);
  return matches[0] ?? { q: 0, specificity: 0 };
}
