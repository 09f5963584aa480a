import { countOf } from '../bins.ts';
import { formatNumber, formatTime, type Language } from '../format.ts';
import type { RouteHistogram, Span } from '../model.ts';
import { textIn } from '../texts.ts';
import { headersOf } from './connection.ts';
import { drawDurations, durationsTable } from './drawings.ts';

/** Shows the histogram of a route below its row, while its button is pressed. */
export interface RouteHistograms {
  /** Fetches the open ones again. */
  refresh(): void;
}

/** @param spanNow of the charts */
export function createRouteHistograms(
  root: ParentNode,
  language: Language,
  token: string | null,
  spanNow: () => Span,
): RouteHistograms {
  const open = new Map<string, HistogramView>();

  async function fill(route: string, view: HistogramView): Promise<void> {
    const span = spanNow();
    const query = new URLSearchParams({ route, span });
    const response = await fetch(`/live/histogram?${query}`, { headers: headersOf(token) }).catch(() => null);
    if (!response?.ok) return;
    const histogram = (await response.json()) as RouteHistogram;
    if (span === spanNow()) view.show(histogram);
  }

  for (const button of root.querySelectorAll<HTMLButtonElement>('.route')) {
    button.addEventListener('click', () => {
      const row = button.closest('tr');
      const route = row?.dataset.route;
      if (!row || route === undefined) return;
      const shown = open.get(route);
      button.setAttribute('aria-expanded', String(!shown));
      if (shown) {
        open.delete(route);
        shown.place.closest('tr')?.remove();
        return;
      }
      const detail = document.createElement('tr');
      const cell = detail.insertCell();
      cell.colSpan = row.cells.length;
      const view = createHistogramView(language);
      cell.append(view.place);
      row.after(detail);
      open.set(route, view);
      void fill(route, view);
    });
  }

  return {
    refresh() {
      for (const [route, view] of open) void fill(route, view);
    },
  };
}

interface HistogramView {
  readonly place: HTMLElement;
  show(histogram: RouteHistogram): void;
}

/** The switch to the table stays when another histogram is shown, and so does the focus on it. */
function createHistogramView(language: Language): HistogramView {
  const place = document.createElement('div');
  place.className = 'histogram';
  const title = document.createElement('p');
  title.className = 'histogram__title';
  const figure = document.createElement('div');
  const details = document.createElement('details');
  details.hidden = true;
  const summary = document.createElement('summary');
  summary.textContent = textIn(language, 'table');
  const table = document.createElement('div');
  details.append(summary, table);
  place.append(title, figure, details);

  return {
    place,
    show({ route, since, until, bins, quantiles }) {
      title.textContent = textIn(language, 'histogramOf', {
        route,
        count: formatNumber(countOf(bins), 'count', language),
        since: formatTime(since, language),
        until: formatTime(until, language),
      });
      details.hidden = bins.length === 0;
      if (bins.length === 0) {
        figure.textContent = textIn(language, 'noRequests');
        return;
      }
      const room = place.clientWidth;
      figure.replaceChildren(drawDurations(bins, quantiles, room, language));
      table.replaceChildren(durationsTable(bins, quantiles, room, language));
    },
  };
}
