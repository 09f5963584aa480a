import type { Board } from './board.ts';

/** Characters for one column of Grafana's grid. */
const COLUMN = 4;
/** Grid units for one line of text. */
const UNITS_PER_LINE = 2;

/** What the reader sees, by Grafana's name of the panel's type. */
const KINDS: Readonly<Record<string, string>> = {
  bargauge: 'bars',
  heatmap: 'heatmap',
  'state-timeline': 'states over time',
  stat: 'number',
  table: 'table',
  timeseries: 'graph',
};

/** Draws each dashboard as text: its sections, and its panels in their proportions, with their titles and kinds. */
export function drawBoards(boards: readonly Board[]): string {
  return boards.map(drawBoard).join('\n');
}

function drawBoard({ title, description, sections, uid }: Board): string {
  const drawn = sections.flatMap(({ title: section, folded = false, lines }) => [
    `${folded ? '▸' : '▾'} ${section}`,
    ...lines.flatMap(({ height, panels }) => {
      const boxes = panels.map(([width, builder]) => {
        const panel = builder.build();
        const kind = KINDS[panel.type];
        if (kind === undefined) throw new Error(`${title}: ${panel.title}: layout.ts has no word for ${panel.type}`);
        const inner = width * COLUMN - 1;
        return { inner, words: [...wrap(panel.title ?? '', inner - 2), `(${kind})`] };
      });
      const border = `+${boxes.map(({ inner }) => '-'.repeat(inner)).join('+')}+`;
      const tall = Math.max(height / UNITS_PER_LINE, ...boxes.map(({ words }) => words.length));
      const rows = Array.from(
        { length: Math.ceil(tall) },
        (_, row) => `|${boxes.map(({ inner, words }) => ` ${words[row] ?? ''}`.padEnd(inner)).join('|')}|`,
      );
      return [border, ...rows, border];
    }),
  ]);
  return [`### ${title}`, '', `\`/d/${uid}\`. ${description}`, '', '```text', ...drawn, '```', ''].join('\n');
}

/** Breaks a text at its spaces. @param width characters in a line at most, unless a single word is longer */
function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

const BEGIN = '<!-- drawn by npm run dashboards -->';
const END = '<!-- end of the drawings -->';

/**
 * Replaces the drawings in a page.
 *
 * @throws {Error} when the page has no place for them
 */
export function replaceDrawings(page: string, drawings: string): string {
  const [before, rest] = page.split(`${BEGIN}\n`);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`the page has no "${BEGIN}" with its "${END}"`);
  return `${before}${BEGIN}\n\n${drawings}\n${END}${after}`;
}
