import { number } from '../packages/cluster-metrics/bench/table.ts';

/** The middle and the ends of repeated measurements. */
export interface Spread {
  median: number;
  least: number;
  most: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), least: Math.min(...values), most: Math.max(...values) };
}

/** @param part 0 to 1 */
export function quantile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/**
 * Spread of the ratios of each round.
 *
 * @param read the figure of a round
 */
export function ratioSpread<Sample>(
  bases: readonly Sample[],
  measured: readonly Sample[],
  read: (sample: Sample) => number,
): Spread {
  return spreadOf(measured.map((sample, round) => read(sample) / read(bases[round] as Sample)));
}

/** `0.52 (0.49 to 0.55)` */
export function formatSpread({ median, least, most }: Spread): string {
  return `${number(median)} (${number(least)} to ${number(most)})`;
}

/**
 * Measures each side once a round, in turns that alternate (AB BA AB …), so that other load on the machine disturbs all
 * sides alike. The first round is a warm-up and is dropped.
 *
 * @returns for each side its measurements, one for each round
 */
export async function interleave<Side, Sample>(
  sides: readonly Side[],
  rounds: number,
  measure: (side: Side) => Promise<Sample>,
): Promise<Sample[][]> {
  const samples = sides.map((): Sample[] => []);
  for (let round = 0; round <= rounds; round++) {
    const order = [...sides.entries()];
    if (round % 2 === 1) order.reverse();
    for (const [i, side] of order) {
      const sample = await measure(side);
      if (round > 0) samples[i]?.push(sample);
    }
  }
  return samples;
}
