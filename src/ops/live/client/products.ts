import { type Language, localeOf } from '../format.ts';
import { textIn } from '../texts.ts';
import {
  PRODUCT_COLUMNS,
  type ProductColumn,
  type ProductOrder,
  type ProductWindow,
  productKey,
  seriesAttributes,
} from '../view.ts';
import type { CurrentValues } from './numbers.ts';

const RESORT_MS = 5000;

/** The table of products: its window and its order follow the links without a new page. */
export interface ProductTable {
  /** Sorts the rows again, unless the pointer or the focus is in the table. */
  update(values: CurrentValues): void;
}

/** @param keysChanged called when the cells show other numbers */
export function createProductTable(root: ParentNode, language: Language, keysChanged: () => void): ProductTable | null {
  const found = root.querySelector<HTMLTableElement>('[data-products]');
  if (!found) return null;
  const table = found;
  const more = root.querySelector<HTMLButtonElement>('[data-more]');
  let order = table.dataset.order as ProductOrder;
  let sortedAt = 0;
  let latest: CurrentValues = new Map();

  for (const link of root.querySelectorAll<HTMLAnchorElement>('[data-window]')) {
    link.addEventListener('click', (event) => {
      event.preventDefault();
      showWindow(link.dataset.window as ProductWindow);
      for (const each of root.querySelectorAll('[data-window]')) each.removeAttribute('aria-current');
      link.setAttribute('aria-current', 'true');
      remember('window', link.dataset.window === 'total' ? null : link.dataset.window);
    });
  }
  for (const link of table.querySelectorAll<HTMLAnchorElement>('[data-sort]')) {
    link.addEventListener('click', (event) => {
      event.preventDefault();
      order = link.dataset.sort as ProductOrder;
      for (const head of table.querySelectorAll('[aria-sort]')) head.removeAttribute('aria-sort');
      link.closest('th')?.setAttribute('aria-sort', order === 'name' ? 'ascending' : 'descending');
      sort();
      remember('sort', order === 'views' ? null : order);
    });
  }
  more?.addEventListener('click', () => {
    const isShort = table.classList.toggle('is-short');
    more.setAttribute('aria-expanded', String(!isShort));
    more.textContent = isShort
      ? `${textIn(language, 'allProducts')} (${table.tBodies[0]?.rows.length})`
      : textIn(language, 'fewerProducts');
  });

  function showWindow(window: ProductWindow): void {
    for (const row of rowsOf(table)) {
      for (const column of Object.keys(PRODUCT_COLUMNS) as ProductColumn[]) {
        const cell = row.querySelector(`[data-cell=${column}]`);
        const key = productKey(column, row.dataset.product ?? '', window);
        cell?.querySelector('[data-bar]')?.setAttribute('data-bar', key);
        const number = cell?.querySelector<HTMLElement>('[data-key]');
        if (number) setKey(number, key);
      }
    }
    keysChanged();
    sort();
  }

  function sort(): void {
    sortedAt = performance.now();
    const rows = rowsOf(table);
    const keyOf = (row: HTMLElement) => row.querySelector<HTMLElement>(`[data-cell=${order}] [data-key]`)?.dataset.key;
    const valueFor = (row: HTMLElement) => latest.get(keyOf(row) ?? '') ?? 0;
    const compare = new Intl.Collator(localeOf(language)).compare;
    const sorted = rows.toSorted((a, b) =>
      order === 'name' ? compare(nameOf(a), nameOf(b)) : valueFor(b) - valueFor(a),
    );
    if (sorted.some((row, i) => row !== rows[i])) table.tBodies[0]?.append(...sorted);
  }

  return {
    update(values) {
      latest = values;
      const isInUse = table.matches(':hover') || table.contains(document.activeElement);
      if (!isInUse && performance.now() - sortedAt > RESORT_MS) sort();
    },
  };
}

function rowsOf(table: HTMLTableElement): HTMLTableRowElement[] {
  return [...(table.tBodies[0]?.rows ?? [])];
}

function nameOf(row: HTMLElement): string {
  return row.querySelector('th')?.textContent ?? '';
}

/** Makes the element show another number. */
export function setKey(number: HTMLElement, key: string): void {
  const { metric, labels } = seriesAttributes(key);
  number.dataset.key = key;
  // Of the number that it showed before.
  delete number.dataset.value;
  setOrRemove(number, 'data-metric', metric);
  setOrRemove(number, 'data-labels', labels);
}

function setOrRemove(element: Element, name: string, value: string | undefined): void {
  if (value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Keeps a choice in the address, as the links without JavaScript do. */
function remember(name: string, value: string | null | undefined): void {
  const address = new URL(location.href);
  if (value == null) address.searchParams.delete(name);
  else address.searchParams.set(name, value);
  history.replaceState(null, '', address);
}
