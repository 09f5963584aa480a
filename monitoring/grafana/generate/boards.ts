import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../../src/paths.ts';
import { type Board, buildBoard } from './board.ts';
import { business } from './business.ts';
import { checkout } from './checkout.ts';
import { fleet } from './fleet.ts';
import { drawBoards, replaceDrawings } from './layout.ts';
import { load } from './load.ts';
import { overview } from './overview.ts';
import { postgresql } from './postgresql.ts';

/** All dashboards, in the order in which they are presented. */
const BOARDS: readonly Board[] = [overview, business, checkout, postgresql, fleet, load];

/** The page with the drawings. */
const PAGE = 'docs/distributed.md';

/** A file that the generator writes. */
export interface Generated {
  /** From the project's root. */
  readonly path: string;
  readonly content: string;
}

/** Makes the dashboards for Grafana's provisioning, and their drawings in the documentation. Writes nothing. */
export function generate(): Generated[] {
  const dashboards = BOARDS.map((board) => ({
    path: `monitoring/grafana/dashboards/${board.uid.replace('fake-shop-', '')}.json`,
    content: `${JSON.stringify(buildBoard(board), null, 2)}\n`,
  }));
  const page = readFileSync(join(projectRoot, PAGE), 'utf8');
  return [...dashboards, { path: PAGE, content: replaceDrawings(page, drawBoards(BOARDS)) }];
}
