/**
 * Adds to a sum of float64, without the rounding errors that a plain `+=` piles up: 1e17 + 1 − 1e17 is 1.
 *
 * The sum is kept in two parts: `sums[slot]`, the float64 nearest to it, and `rests[slot]`, the rest that is too small
 * for that (double-double: Dekker, *A floating-point technique for extending the available precision*, 1971).
 * Adding what is not negative never makes the sum smaller. Beyond the finite numbers it is what `+` says.
 */
export function addTo(sums: Float64Array, rests: Float64Array, slot: number, value: number): void {
  const before = sums[slot] as number;
  const rough = before + value;
  const rest = (rests[slot] as number) + roundingError(before, value, rough);
  const sum = rough + rest;
  const fits = Number.isFinite(sum);
  sums[slot] = fits ? sum : rough;
  rests[slot] = fits ? rest - (sum - rough) : 0;
}

/**
 * Adds by how much a part of a sum has grown: takes `before`, which the sum contains, and adds `value`, exactly.
 *
 * The growth is added as one number, so that a part that has not become smaller never makes the sum smaller. Where the
 * growth alone is beyond the finite numbers, as from -1e308 to 1e308, the sum without the part is not.
 */
export function addGrowth(sums: Float64Array, rests: Float64Array, slot: number, before: number, value: number): void {
  const growth = value - before;
  if (!Number.isFinite(growth) && Number.isFinite(value) && Number.isFinite(before)) {
    addTo(sums, rests, slot, -before);
    addTo(sums, rests, slot, value);
    return;
  }
  addTo(sums, rests, slot, growth);
  const lost = roundingError(value, -before, growth);
  if (lost !== 0 && Number.isFinite(lost)) addTo(sums, rests, slot, lost);
}

/** What `sum = a + b` has lost by rounding, exactly: the smaller one's part that is not in the sum. */
function roundingError(a: number, b: number, sum: number): number {
  return Math.abs(a) >= Math.abs(b) ? b - (sum - a) : a - (sum - b);
}
