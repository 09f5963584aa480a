/*! Contains uPlot. Copyright (c) 2025, Leon Sorokin. MIT License. https://github.com/leeoniya/uPlot */
import uPlot from 'uplot';
import type { Chart, ChartLine } from '../charts.ts';
import { axisSteps, formatDateTime, formatNumber, formatTime, type Language } from '../format.ts';
import type { Mark } from '../model.ts';
import { textIn } from '../texts.ts';
import { lineLabel } from '../view.ts';
import type { Points } from './courses.ts';

const SYNCED = 'live';
const MOST_TABLE_ROWS = 40;
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
/** The cursor names a mark within this distance. */
const NEAR_PX = 6;
const SHORTEST_RANGE_SECONDS = 60;

/** All charts of the page. */
export interface Plots {
  /** Draws those that are in sight. */
  draw(points: Points): void;
  /** Removes them all. */
  destroy(): void;
}

export interface PlottedChart {
  /** Holds the canvas. */
  readonly box: HTMLElement;
  /** The whole figure, with the switch to the table; null for a course in a table. */
  readonly figure: HTMLElement | null;
  readonly chart: Chart;
  /** Without axes. */
  readonly isPlain: boolean;
}

/** Draws charts into their boxes, with one crosshair over all of them. */
export function createPlots(charts: readonly PlottedChart[], language: Language): Plots {
  const colours = readColours();
  const plots = charts.map((plotted) => createPlot(plotted, colours, language));
  let latest: Points | null = null;

  const byBox = new Map(plots.map((plot) => [plot.box, plot]));
  const inSight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) byBox.get(target as HTMLElement)?.show(isIntersecting, latest);
    },
    { rootMargin: '200px' },
  );
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) byBox.get(target as HTMLElement)?.resize();
  });
  for (const { box } of plots) {
    inSight.observe(box);
    sizes.observe(box);
  }
  const darkness = matchMedia('(prefers-color-scheme: dark)');
  const onScheme = () => {
    Object.assign(colours, readColours());
    for (const plot of plots) plot.redraw();
  };
  darkness.addEventListener('change', onScheme);

  return {
    draw(points) {
      latest = points;
      for (const plot of plots) plot.draw(points);
    },
    destroy() {
      darkness.removeEventListener('change', onScheme);
      inSight.disconnect();
      sizes.disconnect();
      for (const plot of plots) plot.destroy();
    },
  };
}

type Colours = Record<string, string>;

/** The custom properties of the style sheet, for the canvas. */
function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const names = ['muted', 'line', 'warning', 'bad', 'good', 'line-bad', 'line-limit'];
  const tones = [1, 2, 3, 4, 5, 6].map((tone) => `line-${tone}`);
  return Object.fromEntries([...names, ...tones].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function createPlot({ box, figure, chart, isPlain }: PlottedChart, colours: Colours, language: Language) {
  let plot: uPlot | null = null;
  let isInSight = false;
  let points: Points | null = null;
  const bubble = document.createElement('div');
  bubble.className = 'u-values';
  bubble.hidden = true;
  const colourOf = ({ tone }: ChartLine) => colours[`line-${tone}`] ?? '';
  box.setAttribute('aria-hidden', 'true');

  function draw(next: Points | null): void {
    points = next;
    if (!points || !isInSight || box.clientWidth === 0) return;
    if (!plot) {
      plot = new uPlot(options(), dataOf(chart, points), box);
      plot.over.append(bubble);
    } else plot.setData(dataOf(chart, points));
  }

  function options(): uPlot.Options {
    const axis = { stroke: () => colours.muted ?? '', font: FONT, ticks: { show: false } };
    return {
      width: box.clientWidth,
      height: box.clientHeight,
      padding: isPlain ? [4, 0, 0, 0] : [8, 8, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false, setScale: false },
        points: { size: 6 },
        sync: { key: SYNCED, setSeries: false },
      },
      scales: { x: { range: () => rangeOf(points) }, y: { range: (_plot, _min, max) => [0, highestOf(max)] } },
      axes: [
        {
          ...axis,
          show: !isPlain,
          size: 22,
          gap: 2,
          space: 70,
          grid: { show: false },
          values: (_plot, splits) => splits.map((at) => shortTime(at * 1000, language)),
        },
        {
          ...axis,
          show: !isPlain,
          size: 58,
          gap: 4,
          space: 28,
          incrs: axisSteps(chart.format, language),
          grid: { stroke: () => colours.line ?? '', width: 1 },
          values: (_plot, splits) => splits.map((value) => formatNumber(value, chart.format, language)),
        },
      ],
      series: [{}, ...chart.lines.map(seriesOf)],
      bands:
        chart.kind === 'stack'
          ? chart.lines.slice(1).map((_, i) => ({ series: [i + 2, i + 1] as [number, number] }))
          : [],
      hooks: { draw: [drawMarks], setCursor: [showValues] },
    };
  }

  function seriesOf(line: ChartLine): uPlot.Series {
    const isStack = chart.kind === 'stack';
    const isFilled = isStack || chart.lines.length === 1;
    const stairs = uPlot.paths.stepped?.({ align: 1 });
    return {
      stroke: () => colourOf(line),
      // The line of a part that is 0 would lie on the part below it.
      width: isStack ? 0 : 1.5,
      points: { show: false },
      ...(isFilled ? { fill: () => transparent(colourOf(line), isStack ? 0.75 : 0.14) } : {}),
      ...(chart.kind === 'stairs' && stairs ? { paths: stairs } : {}),
    };
  }

  function drawMarks(u: uPlot): void {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { at, kind } of points?.marks ?? []) {
      const x = u.valToPos(at / 1000, 'x', true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = colours[kind === 'restart' || kind === 'fault_begin' ? 'warning' : 'muted'] ?? '';
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  /** Says the values under the crosshair, and the mark that is near it. */
  function showValues(u: uPlot): void {
    const { idx, left = -1 } = u.cursor;
    const at = idx == null ? undefined : points?.at[idx];
    bubble.hidden = left < 0 || at === undefined || idx == null;
    if (bubble.hidden || at === undefined || idx == null || !points) return;
    const values = chart.lines.map(({ key }) => formatNumber(points?.values.get(key)?.[idx], chart.format, language));
    const near = points.marks.find((mark) => Math.abs(u.valToPos(mark.at / 1000, 'x') - left) < NEAR_PX);
    bubble.textContent = [
      formatTime(at, language),
      ...(chart.lines.length > 4 ? [] : values),
      ...(near ? [markText(near, language)] : []),
    ].join(' · ');
    const isRight = left > u.over.clientWidth / 2;
    bubble.style.left = isRight ? '' : `${left + 6}px`;
    bubble.style.right = isRight ? `${u.over.clientWidth - left + 6}px` : '';
  }

  if (figure) addTable(figure, chart, () => points, language);

  return {
    box,
    draw,
    show(inSight: boolean, latest: Points | null) {
      isInSight = inSight;
      if (inSight) draw(latest);
    },
    resize() {
      if (plot && box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
      else draw(points);
    },
    redraw: () => plot?.redraw(false),
    destroy: () => plot?.destroy(),
  };
}

/** The table of a chart's values as they were when it was opened, so that nothing moves while it is read. */
function addTable(figure: HTMLElement, chart: Chart, pointsNow: () => Points | null, language: Language): void {
  const button = figure.querySelector('[data-table-switch]');
  const [box, place] = [figure.querySelector('[data-plot]'), figure.querySelector('[data-table]')];
  if (!(button && box instanceof HTMLElement && place instanceof HTMLElement)) return;
  button.addEventListener('click', () => {
    const isOpen = place.hidden;
    place.hidden = !isOpen;
    box.hidden = isOpen;
    button.setAttribute('aria-pressed', String(isOpen));
    place.replaceChildren(...(isOpen ? [tableOf(chart, pointsNow(), language)] : []));
  });
}

function tableOf(chart: Chart, points: Points | null, language: Language): HTMLElement {
  const latest = points?.at.at(-1);
  if (!points || latest === undefined) {
    const empty = document.createElement('p');
    empty.textContent = textIn(language, 'noHistory');
    return empty;
  }
  const table = document.createElement('table');
  const title = textIn(language, `chart.${chart.id}` as 'chart.people');
  table.createCaption().textContent = textIn(language, 'tableOf', { title, time: formatTime(latest, language) });
  const head = table.createTHead().insertRow();
  for (const text of [textIn(language, 'time'), ...chart.lines.map(({ label }) => lineLabel(label, language))]) {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  const step = Math.max(1, Math.ceil(points.at.length / MOST_TABLE_ROWS));
  for (let i = points.at.length - 1; i >= 0; i -= step) {
    const at = points.at[i] ?? 0;
    const before = points.at[i - step] ?? 0;
    const marks = points.marks.filter((mark) => mark.at <= at && mark.at > before);
    const row = body.insertRow();
    const time = document.createElement('th');
    time.scope = 'row';
    time.textContent = [formatDateTime(at, language), ...marks.map((mark) => markText(mark, language))].join(' · ');
    row.append(time);
    for (const { key } of chart.lines) {
      const cell = row.insertCell();
      cell.className = 'is-number';
      cell.textContent = formatNumber(points.values.get(key)?.[i], chart.format, language);
    }
  }
  return table;
}

function markText({ kind, what }: Mark, language: Language): string {
  return textIn(language, kind === 'restart' && what === 'primary' ? 'mark.primary' : `mark.${kind}`, { what });
}

/** In uPlot's form: the times in seconds, then each line. The lines of a stack add up. */
function dataOf({ kind, lines }: Chart, { at, values }: Points): uPlot.AlignedData {
  const times = at.map((each) => each / 1000);
  const courses = lines.map(({ key }) => values.get(key) ?? at.map(() => null));
  if (kind !== 'stack') return [times, ...courses];
  const sums: (number | null)[][] = [];
  for (const course of courses) {
    const below = sums.at(-1);
    sums.push(course.map((value, i) => (value === null ? null : value + (below?.[i] ?? 0))));
  }
  return [times, ...sums];
}

/** The span; while the history is younger, from its beginning. */
function rangeOf(points: Points | null): [number, number] {
  const [first, latest] = [(points?.at[0] ?? 0) / 1000, (points?.at.at(-1) ?? 0) / 1000];
  const longest = (points?.lengthMs ?? 0) / 1000;
  return [latest - Math.min(longest, Math.max(latest - first, SHORTEST_RANGE_SECONDS)), latest];
}

/** Room above the line. A course of zeros lies on the ground. */
function highestOf(max: number | null): number {
  return max === null || max <= 0 ? 1 : max * 1.15;
}

function shortTime(at: number, language: Language): string {
  return formatTime(at, language).replace(/^(\d+:\d+):00/, '$1');
}

/** @param colour `#rgb` or `#rrggbb` */
function transparent(colour: string, alpha: number): string {
  const digits = colour.slice(1);
  const full = digits.length === 3 ? [...digits].map((digit) => digit + digit).join('') : digits;
  const [red, green, blue] = [0, 2, 4].map((start) => Number.parseInt(full.slice(start, start + 2), 16));
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}
