import type { Format, Language } from '../format.ts';
import type { Key } from '../model.ts';
import { changeText, numberView } from '../view.ts';

/** The values of a frame, as they are now. */
export type CurrentValues = ReadonlyMap<Key, number | null>;

/** The numbers, changes and bars of the page, found by their keys. */
export interface Numbers {
  /** Finds them again, after elements or their keys have changed. */
  find(): void;
  /** @param changed keys whose values have changed; all if it is left out */
  update(values: CurrentValues, changed?: ReadonlySet<Key>): void;
}

export function createNumbers(root: ParentNode, language: Language): Numbers {
  let numbers = new Map<Key, HTMLElement[]>();
  let changes = new Map<Key, HTMLElement[]>();
  let groups = new Map<string, SVGElement[]>();
  let meters: SVGElement[] = [];

  function find(): void {
    numbers = byAttribute(root, 'data-key', (element) => [element.dataset.key]);
    changes = byAttribute(root, 'data-change', ({ dataset }) => [dataset.change, dataset.earlier]);
    groups = byAttribute<SVGElement>(root, 'data-group', ({ dataset }) => [dataset.group]);
    meters = [...root.querySelectorAll<SVGElement>('[data-limit]')];
  }

  find();
  return {
    find,
    update(values, changed = new Set([...numbers.keys(), ...changes.keys()])) {
      const valueFor = (key: Key | undefined) => values.get(key ?? '') ?? null;
      for (const key of changed) {
        for (const element of numbers.get(key) ?? []) setNumber(element, valueFor(key), language);
        for (const element of changes.get(key) ?? []) {
          const { change = '', earlier, format } = element.dataset;
          const text = changeText(change, valueFor(change), valueFor(earlier), format as Format, language);
          setText(element, text);
        }
      }
      for (const bars of groups.values()) {
        const longest = Math.max(...bars.map(({ dataset }) => valueFor(dataset.bar) ?? 0));
        for (const bar of bars) setBar(bar, valueFor(bar.dataset.bar), longest);
      }
      for (const bar of meters) setBar(bar, valueFor(bar.dataset.bar), valueFor(bar.dataset.limit) ?? 0);
    },
  };
}

/** Shows a value in the element of its number. */
export function setNumber(element: HTMLElement, value: number | null, language: Language): void {
  const { key = '', format } = element.dataset;
  const view = numberView(value, key, format as Format, language);
  if (element.dataset.value === view.value) return;
  element.dataset.value = view.value;
  if (view.why === undefined) {
    setText(element, view.text);
    element.removeAttribute('title');
    return;
  }
  const reason = document.createElement('span');
  reason.className = 'sr';
  reason.textContent = ` (${view.why})`;
  element.replaceChildren(view.text, reason);
  element.title = view.why;
}

/** Leaves an element alone that has the text already, so that a selection in it stays. */
export function setText(element: Element | null, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}

function setBar(bar: SVGElement, value: number | null, longest: number): void {
  const share = longest > 0 ? Math.min(1, (value ?? 0) / longest) : 0;
  bar.firstElementChild?.setAttribute('width', (100 * share).toFixed(2));
}

function byAttribute<E extends HTMLElement | SVGElement = HTMLElement>(
  root: ParentNode,
  attribute: string,
  keysOf: (element: E) => (string | undefined)[],
): Map<string, E[]> {
  const found = new Map<string, E[]>();
  for (const element of root.querySelectorAll<E>(`[${attribute}]`)) {
    for (const key of keysOf(element)) {
      if (key === undefined) continue;
      const elements = found.get(key);
      if (elements) elements.push(element);
      else found.set(key, [element]);
    }
  }
  return found;
}
