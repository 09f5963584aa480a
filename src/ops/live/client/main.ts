import { charts, routeChart } from '../charts.ts';
import { formatNumber, formatTime, type Language } from '../format.ts';
import type { Course, Frame, FrameChange, Hello, Key, Mark, Span, Structure } from '../model.ts';
import { textIn } from '../texts.ts';
import { pageTitle, upFor, youngText } from '../view.ts';
import { createSilence, headersOf, keepConnected } from './connection.ts';
import { growPoints, isSetBack, type Points, pointsOf } from './courses.ts';
import { showFaults, switchFaultsOnClick } from './faults.ts';
import { showInsideOnClick } from './inside.ts';
import { createNumbers, type Numbers, setText } from './numbers.ts';
import { createPlots, type Plots, type PlottedChart } from './plots.ts';
import { createProductTable, type ProductTable } from './products.ts';
import { createRouteHistograms, type RouteHistograms } from './routes.ts';
import { createSevenMetrics, type SevenMetrics } from './seven.ts';
import { showErrors, showFlags, showLamps, showLockWaits, showVerdict, showWorkers } from './state.ts';

const SECOND_MS = 1000;
/** Frames come each second; numbers older than this are grey. */
const STALE_MS = 5 * SECOND_MS;
/** Interval of the requests for what a frame lacks: histograms, raw lines. */
const REFRESH_MS = 5 * SECOND_MS;
const LANGUAGE_KEPT_AS = 'fake-shop-live-language';

const language = document.body.dataset.language as Language;

/** The drawings in the sections; replaced together with them. */
interface Sections {
  readonly root: HTMLElement;
  readonly numbers: Numbers;
  readonly plots: Plots;
  readonly products: ProductTable | null;
  readonly histograms: RouteHistograms;
  readonly seven: SevenMetrics;
}

/** The page in the browser, from the first frame on. */
function startLivePage(token: string | null): void {
  const values = new Map<Key, number | null>();
  /** Keys whose values have changed since they were drawn last. */
  const changed = new Set<Key>();
  let structure: Structure | null = null;
  let frame: Frame | null = null;
  let points: Points | null = null;
  let span: Span = '5m';
  let isPaused = false;
  /** Since the last frame. */
  const silence = createSilence();
  /** The primary has points that the charts lack. */
  let arePointsDue = false;
  let drawnErrors = '';
  let sections = openSections();

  function openSections(): Sections {
    const root = document.querySelector('main') as HTMLElement;
    const workers = Number(root.dataset.workers);
    const numbers = createNumbers(root, language);
    showInsideOnClick(root, language, token);
    switchFaultsOnClick(root, language, token);
    return {
      root,
      numbers,
      plots: createPlots(plottedIn(root, workers), language),
      products: createProductTable(root, language, () => {
        numbers.find();
        numbers.update(values);
      }),
      histograms: createRouteHistograms(root, language, token, () => span),
      seven: createSevenMetrics(root, language, token),
    };
  }

  function onHello(hello: Hello): void {
    const isNewPrimary = structure !== null && structure.primary.startedAt !== hello.structure.primary.startedAt;
    structure = hello.structure;
    frame = hello.frame;
    values.clear();
    for (const [key, value] of Object.entries(frame.values)) values.set(key, value);
    silence.end();
    const { version, started } = sections.root.dataset;
    const isOtherPage = version !== String(structure.version) || started !== structure.primary.startedAt;
    if (isNewPrimary) points = null;
    void fetchPoints();
    if (isOtherPage) void swapSections();
    else draw();
  }

  function onFrame({ values: changes, ...rest }: FrameChange): void {
    if (!frame) return;
    silence.end();
    for (const [key, value] of Object.entries(changes)) {
      values.set(key, value);
      changed.add(key);
    }
    frame = { ...frame, ...rest, values: { ...frame.values, ...changes } };
    if (points && isSetBack(points, frame.at)) {
      points = null;
      void fetchPoints();
    }
    if (arePointsDue) void fetchPoints();
    const hasGrown = points !== null && growPoints(points, frame.at, values);
    draw(changed, hasGrown);
  }

  function onStructure(next: Structure): void {
    structure = next;
    void swapSections();
    void fetchPoints();
  }

  function onMark(mark: Mark): void {
    points?.marks.push(mark);
  }

  /** @param onlyChanged the keys whose numbers are set; all if it is left out */
  function draw(onlyChanged?: Set<Key>, isChartsDue = true): void {
    showConnection();
    if (!frame || isPaused) return;
    // Also for a tab in the background, of which the title is all that can be seen.
    document.title = pageTitle(frame.verdict.level, language);
    if (document.hidden) return;
    const { root, numbers, plots, products } = sections;
    numbers.update(values, onlyChanged);
    onlyChanged?.clear();
    products?.update(values);
    showVerdict(root, frame.verdict, language);
    showLamps(root, frame.lamps, language);
    showWorkers(root, frame.workers, language);
    showFlags(root, frame, language);
    showLockWaits(root, frame.lockWaits, language);
    showFaults(root, frame, language);
    const errors = JSON.stringify(frame.errors);
    if (errors !== drawnErrors) {
      showErrors(root, frame.errors, values, language);
      numbers.find();
      drawnErrors = errors;
    }
    if (points && isChartsDue) plots.draw(points);
    if (structure) showAge(root, (frame.at - Date.parse(structure.primary.startedAt)) / SECOND_MS);
  }

  function showAge(root: ParentNode, upSeconds: number): void {
    setText(document.querySelector('[data-uptime]'), upFor(upSeconds, language));
    const young = youngText(upSeconds, language);
    const note = root.querySelector('[data-young]');
    setText(note, young);
    note?.toggleAttribute('hidden', young === '');
  }

  async function fetchPoints(): Promise<void> {
    const wanted = span;
    arePointsDue = false;
    const course = await fetchCourse(wanted, token).catch(() => null);
    if (wanted !== span || !structure) return;
    if (!course) {
      arePointsDue = true;
      return;
    }
    points = pointsOf(course, structure);
    points.marks.push({ at: Date.parse(structure.primary.startedAt), kind: 'restart', what: 'primary' });
    draw(changed);
  }

  /** Asks the primary for the sections again; the reader's choices are in the address. */
  async function swapSections(): Promise<void> {
    const page = await fetchPage(token);
    const next = page?.querySelector('main');
    if (!next) return;
    const wasOpen = sections.seven.isOpen;
    const focused = document.activeElement?.id;
    sections.plots.destroy();
    sections.root.replaceWith(next);
    document.querySelector('.foot')?.replaceWith(page?.querySelector('.foot') ?? '');
    drawnErrors = '';
    sections = openSections();
    next.querySelector('[data-seven]')?.toggleAttribute('open', wasOpen);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    draw();
  }

  /** Says how fresh the numbers are; without news they turn grey. */
  function showConnection(): void {
    const silentMs = silence.ms();
    const isStale = silentMs > STALE_MS;
    const age = formatNumber(Math.floor(silentMs / SECOND_MS), 'age', language);
    const place = document.querySelector<HTMLElement>('[data-connection]');
    if (place) place.dataset.connection = isStale ? 'stale' : frame ? 'live' : 'connecting';
    const time = formatTime(frame?.at ?? Date.now(), language);
    const state = isPaused ? 'paused' : frame ? 'connected' : 'connecting';
    setText(
      document.querySelector('[data-connection-text]'),
      isStale ? textIn(language, 'staleSince', { age }) : textIn(language, state, { time }),
    );
    const stale = sections.root.querySelector('[data-stale]');
    stale?.toggleAttribute('hidden', !isStale);
    if (isStale) {
      const text = textIn(language, 'stale', { age });
      setText(stale, text);
      document.title = pageTitle('unknown', language);
      // Said once, not each second.
      if (!document.body.classList.contains('is-stale')) setText(sections.root.querySelector('[data-announce]'), text);
    }
    document.body.classList.toggle('is-stale', isStale);
  }

  const pause = document.querySelector<HTMLButtonElement>('[data-pause]');
  pause?.addEventListener('click', () => {
    isPaused = !isPaused;
    pause.setAttribute('aria-pressed', String(isPaused));
    setText(pause, textIn(language, isPaused ? 'resume' : 'pause'));
    if (isPaused) showConnection();
    else draw();
  });
  for (const button of document.querySelectorAll<HTMLButtonElement>('[data-span]')) {
    button.addEventListener('click', () => {
      span = button.dataset.span as Span;
      for (const each of document.querySelectorAll('[data-span]')) {
        each.setAttribute('aria-pressed', String(each === button));
      }
      void fetchPoints();
      sections.histograms.refresh();
    });
  }
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) draw();
  });
  setInterval(showConnection, SECOND_MS);
  setInterval(() => {
    if (isPaused || document.hidden) return;
    sections.histograms.refresh();
    if (sections.seven.isOpen) sections.seven.refresh();
  }, REFRESH_MS);
  keepConnected(token, {
    hello: onHello,
    frame: onFrame,
    structure: onStructure,
    mark: onMark,
    // The primary was restarted with another token: the page asks for it.
    refused: () => location.reload(),
  });
}

function plottedIn(root: ParentNode, workers: number): PlottedChart[] {
  const byId = new Map(charts(workers).map((chart) => [chart.id, chart]));
  const figures = [...root.querySelectorAll<HTMLElement>('[data-chart]')].flatMap((figure) => {
    const chart = byId.get(figure.dataset.chart ?? '');
    const box = figure.querySelector<HTMLElement>('[data-plot]');
    return chart && box ? [{ box, figure, chart, isPlain: figure.classList.contains('chart--plain') }] : [];
  });
  const sparks = [...root.querySelectorAll<HTMLElement>('[data-spark]')].map((box) => {
    return { box, figure: null, chart: routeChart(box.dataset.spark ?? ''), isPlain: true };
  });
  return [...figures, ...sparks];
}

/** @returns null when the primary refuses */
async function fetchCourse(span: Span, token: string | null): Promise<Course | null> {
  const response = await fetch(`/live/course?span=${span}`, { headers: headersOf(token) });
  return response.ok ? ((await response.json()) as Course) : null;
}

async function fetchPage(token: string | null): Promise<Document | null> {
  const response = await fetch(location.href, { headers: headersOf(token) }).catch(() => null);
  return response?.ok ? new DOMParser().parseFromString(await response.text(), 'text/html') : null;
}

/** The token stays in this page's memory; a reload asks for it again. */
function askForToken(form: HTMLFormElement): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const field = form.elements.namedItem('token') as HTMLInputElement;
    void open(field.value.trim());
  });

  async function open(token: string): Promise<void> {
    const page = await fetchPage(token);
    if (!page?.querySelector('[data-verdict]')) {
      setText(form.querySelector('[role=alert]'), textIn(language, 'wrongToken'));
      return;
    }
    document.body.replaceChildren(...page.body.childNodes);
    document.body.dataset.view = 'live';
    keepLanguage();
    startLivePage(token);
  }
}

/** The choice of a language is kept in this browser, without a cookie. */
function keepLanguage(): void {
  const link = document.querySelector<HTMLAnchorElement>('[data-language-switch]');
  link?.addEventListener('click', () => localStorage.setItem(LANGUAGE_KEPT_AS, link.dataset.languageSwitch ?? ''));
}

function keptLanguage(): string | null {
  try {
    return localStorage.getItem(LANGUAGE_KEPT_AS);
  } catch {
    // A browser that keeps nothing for this page does not even let it ask.
    return null;
  }
}

function start(): void {
  const address = new URL(location.href);
  const isChosen = address.searchParams.has('lang');
  if (!isChosen && language === 'pt' && keptLanguage() === 'en') {
    address.searchParams.set('lang', 'en');
    location.replace(address);
    return;
  }
  keepLanguage();
  const form = document.querySelector<HTMLFormElement>('[data-token]');
  if (form) askForToken(form);
  else startLivePage(null);
}

start();
