import { cpus } from 'node:os';
import { formatTable, number } from '../packages/cluster-metrics/bench/table.ts';
import { importBuilt } from './built.ts';

/** What one part of the benchmark found. */
export interface Part {
  title: string;
  /** The measurement and its method, a paragraph. */
  about: string;
  head: readonly string[];
  rows: readonly (readonly string[])[];
  goals: readonly Goal[];
}

/** A figure that the shop must reach. */
export interface Goal {
  figure: string;
  measured: string;
  goal: string;
  /** `so far`: the goal is for a longer time than was measured, and was not missed until then. */
  reached: boolean | 'so far';
}

export function formatPart({ title, about, head, rows }: Part): string {
  return `## ${title}\n\n${about}\n\n${formatTable(head, rows)}\n`;
}

export function formatGoals(goals: readonly Goal[]): string {
  const rows = goals.map(({ figure, measured, goal, reached }) => [
    figure,
    measured,
    goal,
    reached === true ? 'yes' : reached || 'no',
  ]);
  return formatTable(['figure', 'measured', 'goal', 'reached'], rows);
}

/**
 * The whole report, for `bench/results.md`.
 *
 * @param loadBefore load average before the benchmark: on a quiet machine far below 1
 */
export async function formatReport(parts: readonly Part[], loadBefore: number): Promise<string> {
  return [
    '# Results of the benchmark\n',
    `Written by \`npm run bench\`. ${await machine()} The load average of the machine was ${number(loadBefore)} before.\n`,
    `Figures are medians of alternating rounds, with the least and the most in brackets. A ratio is the median of the ratios of the rounds.\n`,
    `${formatGoals(parts.flatMap(({ goals }) => goals))}\n`,
    ...parts.map(formatPart),
  ].join('\n');
}

async function machine(): Promise<string> {
  const processors = cpus();
  const { readBuildInfo } = await importBuilt<typeof import('../src/build-info.ts')>('build-info.js');
  return [
    `On ${new Date().toISOString().slice(0, 10)}`,
    `revision ${readBuildInfo().revision}`,
    `Node.js ${process.versions.node}`,
    `${processors.length} cores of ${processors[0]?.model.trim() ?? 'an unknown processor'}.`,
  ].join(', ');
}
