import { type RunningCluster, readResources } from '../support/cluster.ts';

/** The course of one resource of one process while a shop is kept busy. */
export interface Course {
  process: string;
  what: 'memory' | 'descriptors' | 'series';
  /** Megabytes, or a plain number. */
  unit: 'MB' | '';
  first: number;
  last: number;
  least: number;
  most: number;
  /** Units a minute of the straight line that fits best. */
  slope: number;
}

const MEGABYTE = 2 ** 20;

/** One value of a course. */
export interface Look extends Pick<Course, 'process' | 'what' | 'unit'> {
  minutes: number;
  value: number;
}

/** Memory and descriptors of each process. @param minutes since the first look */
export async function lookAtResources(shop: RunningCluster, minutes: number): Promise<Look[]> {
  const looks = (await readResources(shop)).map(({ process, memoryBytes, descriptors }): Look[] => [
    { process, what: 'memory', unit: 'MB', minutes, value: memoryBytes / MEGABYTE },
    { process, what: 'descriptors', unit: '', minutes, value: descriptors },
  ]);
  return looks.flat();
}

/** The same, and the number of series that each process shows. */
export async function look(shop: RunningCluster, minutes: number): Promise<Look[]> {
  const looks = await lookAtResources(shop, minutes);
  for (const process of new Set(looks.map((each) => each.process))) {
    const { samples } = await shop.metrics(process === 'primary' ? '' : `?worker=${process}`);
    const series = samples.filter(({ name, labels }) => !OF_MOMENT.test(name) && labels.status_code !== '503').length;
    looks.push({ process, what: 'series', unit: '', minutes, value: series });
  }
  return looks;
}

/** Active resources of Node.js. Also left out: the first refusal of each route, which adds its series once. */
const OF_MOMENT = /^nodejs_active_(handles|requests|resources)$/;

export function coursesOf(looks: readonly Look[]): Course[] {
  const groups = new Map<string, Look[]>();
  for (const look of looks) {
    const name = `${look.process} ${look.what}`;
    groups.set(name, [...(groups.get(name) ?? []), look]);
  }
  return [...groups.values()].map((group) => {
    const { process, what, unit } = group[0] as Look;
    const values = group.map(({ value }) => value);
    return {
      process,
      what,
      unit,
      first: values[0] as number,
      last: values.at(-1) as number,
      least: Math.min(...values),
      most: Math.max(...values),
      slope: slopeOf(group),
    };
  });
}

/** Least squares. */
function slopeOf(looks: readonly Look[]): number {
  const meanMinutes = sum(looks.map(({ minutes }) => minutes)) / looks.length;
  const meanValue = sum(looks.map(({ value }) => value)) / looks.length;
  const covariance = sum(looks.map(({ minutes, value }) => (minutes - meanMinutes) * (value - meanValue)));
  return covariance / sum(looks.map(({ minutes }) => (minutes - meanMinutes) ** 2));
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** A line. */
export function describeCourse({ process, what, unit, first, last, least, most, slope }: Course): string {
  const figures = [first, last, least, most].map((value) => Math.round(value));
  return `${process.padEnd(8)} ${what.padEnd(12)} first ${figures[0]} last ${figures[1]} (${figures[2]} to ${figures[3]}) slope ${slope.toFixed(2)} ${unit}/min`;
}
