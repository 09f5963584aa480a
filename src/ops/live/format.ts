export const LANGUAGES = ['pt', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

/** How a number is shown. Values are in base units: seconds, bytes, reais, parts of one. */
export const FORMATS = [
  'count',
  'brl',
  'percent',
  'points',
  'seconds',
  'preciseSeconds',
  'age',
  'perSecond',
  'perMinute',
  'parallel',
  'cores',
  'bytes',
] as const;
export type Format = (typeof FORMATS)[number];

/** Shown where a number is missing. */
export const NOTHING = '–';

const LOCALES = { pt: 'pt-BR', en: 'en' } as const;
/** Percentage points: the difference of two percentages. */
const POINTS = { pt: 'p.p.', en: 'pp' } as const;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = Array.from({ length: 24 }, (_, i) => i - 9).flatMap((power) =>
  [1, 2, 5].map((factor) => Number(`${factor}e${power}`)),
);
const BYTES_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

export function localeOf(language: Language): string {
  return LOCALES[language];
}

/** A number as people read it: rounded, with its unit, in the language's way. */
export function formatNumber(value: number | null | undefined, format: Format, language: Language): string {
  if (value == null || !Number.isFinite(value)) return NOTHING;
  switch (format) {
    case 'count':
      return rounded(value, Number.isInteger(value) ? 0 : 1, language);
    case 'brl':
      return numberFormat(language, money(value)).format(value);
    case 'percent':
      return numberFormat(language, { style: 'percent', maximumFractionDigits: value < 0.1 ? 1 : 0 }).format(value);
    case 'points':
      return `${rounded(value * 100, 1, language)} ${POINTS[language]}`;
    case 'seconds':
      return seconds(value, language);
    case 'preciseSeconds':
      return preciseSeconds(value, language);
    case 'age':
      return age(value, language);
    case 'perSecond':
      return `${significant(value, language)}/s`;
    case 'perMinute':
      return `${significant(value * MINUTE, language)}/min`;
    case 'parallel':
    case 'cores':
      return rounded(value, value < 0.1 ? 3 : 2, language);
    case 'bytes':
      return bytes(value, language);
  }
}

/**
 * Steps of an axis, the smallest first: 1, 2 and 5 by powers of ten, without those whose labels would be alike.
 */
export function axisSteps(format: Format, language: Language): number[] {
  const label = (value: number) => formatNumber(value, format, language);
  return STEPS.filter((step) => label(step) !== label(0) && label(step) !== label(2 * step));
}

/** Cents count in small amounts only, and thousands in those below a million. */
function money(value: number): Intl.NumberFormatOptions {
  const reais = { style: 'currency', currency: 'BRL' } as const;
  if (Math.abs(value) < 1000) return reais;
  if (Math.abs(value) < 1_000_000) return { ...reais, maximumFractionDigits: 0 };
  return { ...reais, notation: 'compact', maximumFractionDigits: 2 };
}

/** Time of day of a moment in milliseconds since 1970. */
export function formatTime(at: number, language: Language): string {
  return dateFormat(language, { timeStyle: 'medium', hourCycle: 'h23' }).format(at);
}

export function formatDateTime(at: number, language: Language): string {
  return dateFormat(language, { dateStyle: 'short', timeStyle: 'medium', hourCycle: 'h23' }).format(at);
}

/** 21 ms, 1.8 s. */
function seconds(value: number, language: Language): string {
  if (value === 0) return '0 ms';
  const milliseconds = value * 1000;
  if (milliseconds < 1) return `${rounded(milliseconds, 2, language)} ms`;
  if (milliseconds < 10) return `${rounded(milliseconds, 1, language)} ms`;
  if (milliseconds < 1000) return `${rounded(milliseconds, 0, language)} ms`;
  return `${rounded(value, value < 10 ? 1 : 0, language)} s`;
}

/** 21.4 ms, 1.83 s: tells the bounds of neighbouring bins apart. */
function preciseSeconds(value: number, language: Language): string {
  const [scaled, unit] = value < 1 ? [value * 1000, 'ms'] : [value, 's'];
  return `${numberFormat(language, { maximumSignificantDigits: 3 }).format(scaled)} ${unit}`;
}

/** 12 s, 4 min, 3 h 20 min, 2 d 4 h. */
function age(value: number, language: Language): string {
  const whole = Math.floor(value);
  if (value < 10) return `${rounded(value, 1, language)} s`;
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

function bytes(value: number, language: Language): string {
  const power = Math.min(value < 1 ? 0 : Math.floor(Math.log10(value) / 3), BYTES_UNITS.length - 1);
  const scaled = value / 1000 ** power;
  return `${rounded(scaled, scaled < 10 && power > 0 ? 1 : 0, language)} ${BYTES_UNITS[power]}`;
}

function significant(value: number, language: Language): string {
  return rounded(value, value < 10 && !Number.isInteger(value) ? 1 : 0, language);
}

function rounded(value: number, digits: number, language: Language): string {
  return numberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: 0 }).format(value);
}

/** Making a formatter takes longer than a hundred uses of it. */
const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

function numberFormat(language: Language, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return remember(language, options, () => new Intl.NumberFormat(LOCALES[language], options));
}

function dateFormat(language: Language, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return remember(language, options, () => new Intl.DateTimeFormat(LOCALES[language], options));
}

function remember<T extends Intl.NumberFormat | Intl.DateTimeFormat>(
  language: Language,
  options: object,
  make: () => T,
): T {
  const name = language + JSON.stringify(options);
  const known = made.get(name);
  if (known) return known as T;
  const formatter = make();
  made.set(name, formatter);
  return formatter;
}
