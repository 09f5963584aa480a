import type { Language } from '../format.ts';
import type { Frame } from '../model.ts';
import { textIn } from '../texts.ts';
import { faultLeft } from '../view.ts';
import { headersOf } from './connection.ts';
import { setText } from './numbers.ts';

/** The rehearsed faults, where the primary allows them. */
const ROW = '[data-fault]';

/** Makes the buttons work. They do nothing without this script, so they wait for it. */
export function switchFaultsOnClick(root: ParentNode, language: Language, token: string | null): void {
  const refusal = root.querySelector('[data-fault-refusal]');

  async function ask(name: string, on: boolean): Promise<void> {
    setText(refusal, '');
    try {
      const body = new URLSearchParams({ name, on: String(on) });
      const response = await fetch('/faults', { method: 'POST', headers: headersOf(token), body });
      if (!response.ok) setText(refusal, `${name}: ${(await response.text()).trim()}`);
    } catch {
      setText(refusal, textIn(language, 'fault.lost'));
    }
  }

  for (const row of root.querySelectorAll<HTMLElement>(ROW)) {
    const button = row.querySelector<HTMLButtonElement>('[data-fault-switch]');
    if (!button) continue;
    button.disabled = false;
    button.addEventListener('click', () => void ask(row.dataset.fault ?? '', row.dataset.on !== 'yes'));
  }
}

/** Shows which faults are on, and how long each still lasts. */
export function showFaults(root: ParentNode, frame: Frame, language: Language): void {
  for (const row of root.querySelectorAll<HTMLElement>(ROW)) {
    const name = row.dataset.fault ?? '';
    const left = faultLeft(name, frame, language);
    setText(row.querySelector('[data-fault-left]'), left);
    const state = left === '' ? 'no' : 'yes';
    if (row.dataset.on === state) continue;
    row.dataset.on = state;
    const text = textIn(language, left === '' ? 'fault.begin' : 'fault.end');
    const button = row.querySelector('[data-fault-switch]');
    setText(button, text);
    button?.setAttribute('aria-label', `${text}: ${name}`);
  }
}
