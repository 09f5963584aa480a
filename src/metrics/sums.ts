/**
 * Adds to a sum of float64, without the rounding errors that a plain `+=` piles up: 1e17 + 1 − 1e17 is 1.
 *
 * The sum is kept in two parts: `sums[slot]`, the float64 nearest to it, and `rests[slot]`, the rest that is too small
 * for that (Dekker's double-double; Knuth's TwoSum: Higham, *Accuracy and Stability of Numerical Algorithms*, 4.3).
 * Adding what is not negative never makes the sum smaller. Beyond the finite numbers it is what `+` says.
 */
export function addTo(sums: Float64Array, rests: Float64Array, slot: number, value: number): void {
  const before = sums[slot] as number;
  const rough = before + value;
  if (!Number.isFinite(rough)) {
    sums[slot] = rough;
    rests[slot] = 0;
    return;
  }
  const rest = (rests[slot] as number) + roundingError(before, value, rough);
  const sum = rough + rest;
  sums[slot] = sum;
  rests[slot] = rest - (sum - rough);
}

/** What `sum = a + b` has lost by rounding, exactly. */
export function roundingError(a: number, b: number, sum: number): number {
  const added = sum - a;
  return a - (sum - added) + (b - added);
}
