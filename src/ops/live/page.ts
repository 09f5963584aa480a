import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { compileTemplate } from 'pug';
import { CHECKOUT_PHASES, ORDER_OUTCOMES, PAYMENT_OUTCOMES, RESTART_REASONS } from '../../instrument/label-values.ts';
import { builtFile } from './built.ts';
import { charts } from './charts.ts';
import type { LiveFiles } from './files.ts';
import { type Format, formatDateTime, formatTime, type Language, localeOf, NOTHING } from './format.ts';
import * as keys from './keys.ts';
import { type Frame, type Key, LAMPS, type LampName, SPANS, type Structure } from './model.ts';
import { condition } from './rule-texts.ts';
import { RULES_OF_LAMPS } from './rules.ts';
import { SEVEN } from './seven.ts';
import { type TextName, textIn, wordIn } from './texts.ts';
import {
  changeText,
  errorViews,
  faultLeft,
  lampText,
  lineLabel,
  lockWaitViews,
  numberView,
  PRODUCT_WINDOWS,
  type ProductOrder,
  type ProductWindow,
  pageTitle,
  productKey,
  seriesAttributes,
  upFor,
  verdictRule,
  verdictText,
  youngText,
} from './view.ts';

/** What a reader chose. All of it is in the address, so it works without JavaScript. */
export interface PageChoice {
  readonly language: Language;
  readonly window: ProductWindow;
  readonly order: ProductOrder;
}

export interface LivePage {
  readonly structure: Structure;
  readonly frame: Frame;
}

export interface Pages {
  /**
   * The live page with all its numbers. Each number has its `data-key`, by which the browser finds it; one straight from
   * `/metrics` has `data-metric`, `data-labels` and `data-value` as well.
   *
   * @param page null without the token: then the page asks for it
   */
  live(page: LivePage | null, choice: PageChoice): string;
  /** `docs/operations.md`. */
  runbook(language: Language): string;
}

/** Products that the table shows at first; the style sheet hides the others. */
const SHORT_LIST = 14;

export function createPages(files: LiveFiles): Pages {
  const templates = loadTemplates();
  const runbook = readFileSync(builtFile('runbook.html'), 'utf8');

  const common = (choice: PageChoice) => ({
    choice,
    language: choice.language,
    locale: localeOf(choice.language),
    other: choice.language === 'pt' ? 'en' : 'pt',
    file: files.url,
    t: (name: TextName, values?: Readonly<Record<string, string>>) => textIn(choice.language, name, values),
    link: (change: Partial<PageChoice>) => addressOf({ ...choice, ...change }),
  });

  return {
    live(page, choice) {
      if (!page) return templates.token({ ...common(choice), view: 'token' });
      return templates.live({ ...common(choice), view: 'live', ...viewOf(page, choice) });
    },
    runbook(language) {
      const choice: PageChoice = { language, window: 'total', order: 'views' };
      return templates.runbook({ ...common(choice), view: 'runbook', content: runbook });
    },
  };
}

/** Reads the choices from the query; an unknown value becomes the default. */
export function readChoice(query: NodeJS.Dict<string | string[]>): PageChoice {
  const { lang, window, sort } = query;
  return {
    language: lang === 'en' ? 'en' : 'pt',
    window: PRODUCT_WINDOWS.find((each) => each === window) ?? 'total',
    order: (['additions', 'sold', 'name'] as const).find((each) => each === sort) ?? 'views',
  };
}

/** The address of the page with these choices; the defaults are left out. */
function addressOf({ language, window, order }: PageChoice): string {
  const query = new URLSearchParams({
    ...(language === 'pt' ? {} : { lang: language }),
    ...(window === 'total' ? {} : { window }),
    ...(order === 'views' ? {} : { sort: order }),
  }).toString();
  return query === '' ? '/' : `/?${query}`;
}

/** Everything that the template reads beside the texts. */
function viewOf({ structure, frame }: LivePage, { language, window, order }: PageChoice) {
  const measured = (key: Key) => frame.values[key] ?? null;
  const startedAt = Date.parse(structure.primary.startedAt);
  const upSeconds = (frame.at - startedAt) / 1000;
  const chartsById = new Map(charts(structure.workers).map((chart) => [chart.id, chart]));

  /** Length of a bar, 0 to 100, beside the longest of its group. */
  function share(key: Key, group: readonly Key[]): number {
    const longest = Math.max(...group.map((each) => measured(each) ?? 0));
    return longest > 0 ? (100 * (measured(key) ?? 0)) / longest : 0;
  }

  const products = structure.products
    .map((product) => ({
      ...product,
      views: productKey('views', product.slug, window),
      additions: productKey('additions', product.slug, window),
      sold: productKey('sold', product.slug, window),
    }))
    .sort((a, b) =>
      order === 'name'
        ? a.name.localeCompare(b.name, localeOf(language))
        : (measured(b[order]) ?? 0) - (measured(a[order]) ?? 0),
    );

  return {
    ...{ keys, frame, structure, share, measured, products, NOTHING },
    ...{ CHECKOUT_PHASES, ORDER_OUTCOMES, RESTART_REASONS },
    isMeasured: (key: Key) => key in frame.values,
    spans: SPANS,
    windows: PRODUCT_WINDOWS,
    seven: SEVEN,
    shortList: SHORT_LIST,
    shop: structure.shop,
    word: (word: string) => wordIn(language, word),
    number: (key: Key, format: Format) => ({
      ...{ key, format },
      ...numberView(measured(key), key, format, language),
      ...seriesAttributes(key),
    }),
    change: (key: Key, format: Format) => changeText(key, measured(key), measured(keys.earlier(key)), format, language),
    chartOf: (id: string) => chartsById.get(id),
    lineLabel: (label: string) => lineLabel(label, language),
    title: pageTitle(frame.verdict.level, language),
    verdict: {
      ...frame.verdict,
      text: verdictText(frame.verdict, language),
      condition: verdictRule(frame.verdict, language),
    },
    lamps: frame.lamps.map((lamp) => ({ ...lamp, text: lampText(lamp, language) })),
    lampRules: LAMPS.map((name) => ({ name, conditions: conditionsOf(name, language) })),
    errors: errorViews(frame.errors, language),
    lockWaits: lockWaitViews(frame.lockWaits, language),
    faultLeft: (name: string) => faultLeft(name, frame, language),
    payments: paymentsIn(frame),
    serverNumbers: serverNumbersIn(frame),
    upFor: upFor(upSeconds, language),
    young: youngText(upSeconds, language),
    startedAtText: formatDateTime(startedAt, language),
    timeOf: (at: string | null) => (at === null ? NOTHING : formatTime(Date.parse(at), language)),
  };
}

function conditionsOf(lamp: LampName, language: Language): string[] {
  const rules = RULES_OF_LAMPS.find((each) => each.lamp === lamp)?.rules ?? [];
  return rules.map(({ name }) => condition(name, language));
}

/** Outcomes of all methods: the columns of the table of payments, in their order. */
const OUTCOMES = new Set(Object.values(PAYMENT_OUTCOMES).flat());

/** Methods and outcomes of the payments, for a table of both. */
function paymentsIn({ values }: Frame): { methods: string[]; outcomes: string[] } {
  const found = Object.keys(values).flatMap((key) => {
    const { metric, labels } = keys.straightSeries(key) ?? {};
    return metric === 'shop_payments_total' && labels ? [labels] : [];
  });
  const distinct = (label: string) => [...new Set(found.map((labels) => labels[label] ?? ''))];
  return {
    methods: distinct('method'),
    outcomes: [...OUTCOMES].filter((outcome) => distinct('outcome').includes(outcome)),
  };
}

/** What PostgreSQL counts, without the connections, which stand beside their limit. */
function serverNumbersIn({ values }: Frame): { key: Key; format: Format }[] {
  return Object.keys(values)
    .filter((key) => key.startsWith('shop_db_server_') && !key.startsWith('shop_db_server_connections'))
    .filter((key) => keys.straightSeries(key))
    .sort()
    .map((key) => ({ key, format: key.includes('_bytes') ? 'bytes' : key.includes('_seconds') ? 'seconds' : 'count' }));
}

function loadTemplates(): Readonly<Record<'live' | 'token' | 'runbook', compileTemplate>> {
  const require = createRequire(import.meta.url);
  return require(builtFile('templates.cjs'));
}
