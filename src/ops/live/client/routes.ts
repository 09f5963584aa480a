import type { Language } from '../format.ts';
import type { RouteHistogram } from '../model.ts';
import { textIn } from '../texts.ts';
import { headersOf } from './connection.ts';
import { drawHistogram, histogramTable } from './drawings.ts';

/** Shows the histogram of a route below its row, while its button is pressed. */
export interface RouteHistograms {
  /** Fetches the open ones again. */
  refresh(): void;
}

export function createRouteHistograms(root: ParentNode, language: Language, token: string | null): RouteHistograms {
  const open = new Map<string, HTMLElement>();

  async function fill(route: string, place: HTMLElement): Promise<void> {
    const query = new URLSearchParams({ route, span: '5m' });
    const response = await fetch(`/live/histogram?${query}`, { headers: headersOf(token) }).catch(() => null);
    if (!response?.ok) return;
    const { buckets, quantiles } = (await response.json()) as RouteHistogram;
    const isTable = place.querySelector('details')?.open ?? false;
    place.replaceChildren(...contentOf({ route, buckets, quantiles }, place.clientWidth, isTable));
  }

  function contentOf({ route, buckets, quantiles }: RouteHistogram, room: number, isTable: boolean): HTMLElement[] {
    const title = document.createElement('p');
    title.className = 'histogram__title';
    title.textContent = textIn(language, 'histogramOf', { route });
    const total = buckets.reduce((sum, { count }) => sum + count, 0);
    if (total === 0) {
      const empty = document.createElement('p');
      empty.textContent = textIn(language, 'noRequests');
      return [title, empty];
    }
    const figure = document.createElement('div');
    figure.append(drawHistogram(buckets, quantiles, room, language));
    const details = document.createElement('details');
    details.open = isTable;
    const summary = document.createElement('summary');
    summary.textContent = textIn(language, 'table');
    details.append(summary, histogramTable(buckets, quantiles, language));
    return [title, figure, details];
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
        shown.closest('tr')?.remove();
        return;
      }
      const detail = document.createElement('tr');
      const cell = detail.insertCell();
      cell.colSpan = row.cells.length;
      const place = document.createElement('div');
      place.className = 'histogram';
      cell.append(place);
      row.after(detail);
      open.set(route, place);
      void fill(route, place);
    });
  }

  return {
    refresh() {
      for (const [route, place] of open) void fill(route, place);
    },
  };
}
