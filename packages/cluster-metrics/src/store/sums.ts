/**
 * Adds to a sum of float64 without the rounding errors of a plain `+=`: 1e17 + 1 − 1e17 is 1.
 *
 * The sum has two parts: `sums[slot]`, the float64 nearest to it, and `rests[slot]`, the difference that is too small for
 * that float64 (double-double: Dekker, *A floating-point technique for extending the available precision*, 1971).
 * Adding a number that is not negative never makes the sum smaller. Beyond the finite numbers the result is that of `+`.
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
 * Adds the growth of one part of a sum: the sum contains `before`, and shall contain `value` instead, exactly.
 *
 * Adds the growth as one number, so that a part that did not shrink never makes the sum smaller. When the growth is not
 * finite, as from -1e308 to 1e308, it takes `before` from the sum and then adds `value`.
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

/** The exact rounding error of `sum = a + b`: the part of the smaller number that is not in the sum. */
function roundingError(a: number, b: number, sum: number): number {
  return Math.abs(a) >= Math.abs(b) ? b - (sum - a) : a - (sum - b);
}
