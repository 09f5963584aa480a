interface Declarable {
  zero?(labels: object): void;
  inc?(labels: object, value: number): void;
}

/** Makes a series visible at zero: one that appears with its first increment hides that increment from `rate()`. */
export function declare(instrument: object, labels: object): void {
  const declarable: Declarable = instrument;
  if (declarable.zero) declarable.zero(labels);
  else declarable.inc?.(labels, 0);
}
