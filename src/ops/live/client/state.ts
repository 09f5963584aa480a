import { formatTime, type Language, NOTHING } from '../format.ts';
import type { ErrorRow, Frame, Lamp, LockWaitRow, Verdict, WorkerRow } from '../model.ts';
import { textIn } from '../texts.ts';
import { errorViews, lampText, lockWaitViews, verdictRule, verdictText } from '../view.ts';
import { type CurrentValues, setNumber, setText } from './numbers.ts';
import { setKey } from './products.ts';

/*
 * The parts of the page that are no numbers: the verdict, the lamps, the workers, the errors.
 */

export function showVerdict(root: ParentNode, verdict: Verdict, language: Language): void {
  const place = root.querySelector<HTMLElement>('[data-verdict]');
  if (!place) return;
  const text = verdictText(verdict, language);
  setText(place.querySelector('[data-verdict-text]'), text);
  setText(place.querySelector('[data-verdict-rule]'), verdictRule(verdict, language));
  setLink(place.querySelector('[data-verdict-link]'), verdict.runbook);
  place.dataset.level = verdict.level;
  // A screen reader hears of another state, not of other numbers.
  const state = `${verdict.level} ${verdict.rule} ${verdict.blame}`;
  if (place.dataset.state === state) return;
  const isFirst = place.dataset.state === undefined;
  place.dataset.state = state;
  if (!isFirst) setText(root.querySelector('[data-announce]'), text);
}

export function showLamps(root: ParentNode, lamps: readonly Lamp[], language: Language): void {
  for (const lamp of lamps) {
    for (const place of root.querySelectorAll<HTMLElement>(`[data-lamp=${lamp.name}]`)) {
      place.dataset.level = lamp.level;
      setText(place.querySelector('[data-lamp-level]'), textIn(language, `level.${lamp.level}`));
      setText(place.querySelector('[data-lamp-text]'), lampText(lamp, language));
      setLink(place.querySelector('[data-lamp-link]'), lamp.runbook);
    }
  }
}

function setLink(link: HTMLAnchorElement | null, anchor: string): void {
  if (!link) return;
  link.hidden = anchor === '';
  link.href = anchor === '' ? '/runbook' : `/runbook#${anchor}`;
}

export function showWorkers(root: ParentNode, workers: readonly WorkerRow[], language: Language): void {
  for (const { worker, pid, state, startedAt, restarts } of workers) {
    const row = root.querySelector<HTMLElement>(`[data-worker="${worker}"]`);
    if (!row) continue;
    row.dataset.workerState = state;
    setText(row.querySelector('[data-worker-badge]'), textIn(language, `state.${state}`));
    setText(row.querySelector('[data-worker-restarts]'), String(restarts));
    setText(row.querySelector('[data-worker-pid]'), String(pid ?? NOTHING));
    const since = startedAt === null ? NOTHING : formatTime(Date.parse(startedAt), language);
    setText(row.querySelector('[data-worker-since]'), since);
    if (pid === null || row.dataset.pid === String(pid)) continue;
    if (row.dataset.pid !== undefined) blink(row);
    row.dataset.pid = String(pid);
  }
}

const BLINK_MS = 4000;

function blink(row: HTMLElement): void {
  row.classList.add('is-replaced');
  setTimeout(() => row.classList.remove('is-replaced'), BLINK_MS);
}

/** Puts the rows in the order of their last time. */
export function showErrors(
  root: ParentNode,
  errors: readonly ErrorRow[],
  values: CurrentValues,
  language: Language,
): void {
  const body = root.querySelector('[data-errors]');
  const template = root.querySelector<HTMLTemplateElement>('[data-error-row]');
  if (!body || !template) return;
  const rows = errorViews(errors, language).map((error) => {
    const row = (template.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
    setText(row.querySelector('[data-error-type]'), error.type);
    setText(row.querySelector('[data-error-route]'), error.route);
    setText(row.querySelector('[data-error-last]'), error.last);
    setLink(row.querySelector('[data-runbook]'), error.runbook);
    const number = row.querySelector<HTMLElement>('[data-format]');
    if (number) {
      setKey(number, error.key);
      setNumber(number, values.get(error.key) ?? null, language);
    }
    return row;
  });
  body.replaceChildren(...rows);
  root.querySelector('[data-no-errors]')?.toggleAttribute('hidden', rows.length > 0);
  root.querySelector('[data-has-errors]')?.toggleAttribute('hidden', rows.length === 0);
}

export function showLockWaits(root: ParentNode, waits: readonly LockWaitRow[], language: Language): void {
  const body = root.querySelector('[data-waits]');
  const template = root.querySelector<HTMLTemplateElement>('[data-wait-row]');
  if (!body || !template) return;
  const rows = lockWaitViews(waits, language).map((view) => {
    const row = template.content.cloneNode(true) as DocumentFragment;
    for (const [part, text] of Object.entries(view)) setText(row.querySelector(`[data-wait="${part}"]`), text);
    return row;
  });
  body.replaceChildren(...rows);
  root.querySelector('[data-has-waits]')?.toggleAttribute('hidden', rows.length === 0);
}

export function showFlags(root: ParentNode, { burst, values }: Frame, language: Language): void {
  root.querySelector('[data-burst]')?.toggleAttribute('hidden', !burst);
  const badge = root.querySelector<HTMLElement>('[data-database-badge]');
  if (!badge) return;
  const isUp = values.shop_db_up === 1;
  badge.dataset.up = isUp ? 'yes' : 'no';
  badge.dataset.value = String(values.shop_db_up ?? Number.NaN);
  setText(badge, textIn(language, isUp ? 'databaseUp' : 'databaseDown'));
}
