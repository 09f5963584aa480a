// Writes docs/operations.md as HTML, for the page /runbook of the primary: `node scripts/runbook.mjs <file>`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Marked } from 'marked';

const [, , target] = process.argv;
const source = new URL('../docs/operations.md', import.meta.url);

const marked = new Marked({
  renderer: {
    /** The anchors are those of GitHub: the alerts and the live page link to them. */
    heading({ tokens, depth, text }) {
      return `<h${depth} id="${anchorOf(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
    },
    /** Other files of the repository are not served. */
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      return href.startsWith('#') ? `<a href="${href}">${text}</a>` : text;
    },
    /** Parts that are wider than a phone scroll by themselves, with the keyboard too. */
    table({ header, rows }) {
      const cell = ({ text, tokens }, tag) => `<${tag}>${text && this.parser.parseInline(tokens)}</${tag}>`;
      const row = (cells, tag) => `<tr>${cells.map((each) => cell(each, each.text === '' ? 'td' : tag)).join('')}</tr>`;
      const body = rows.map((cells) => row(cells, 'td')).join('');
      return `<div class="scroll" tabindex="0"><table><thead>${row(header, 'th')}</thead><tbody>${body}</tbody></table></div>\n`;
    },
    code({ text }) {
      return `<pre tabindex="0"><code>${escapeText(text)}</code></pre>\n`;
    },
  },
});

function anchorOf(text) {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

function escapeText(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, marked.parse(readFileSync(source, 'utf8')));
