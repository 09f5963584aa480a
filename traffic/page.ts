/** What a shopper finds on a page. */
export interface Page {
  /** Where it was found, after redirects: a path of the shop with its query. */
  readonly path: string;
  readonly status: number;
  readonly links: readonly Link[];
  readonly forms: readonly Form[];
  /** Addresses of the files that a browser loads with it. */
  readonly files: readonly string[];
}

export interface Link {
  readonly path: string;
  /** Its text, the names of its pictures included. */
  readonly text: string;
}

export interface Form {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly fields: readonly Field[];
}

export interface Field {
  readonly name: string;
  /** Of the input; `select`, `textarea` and `button` for the other elements. */
  readonly type: string;
  /** As the page has it. */
  readonly value: string;
  /** Whether the browser sends it when nothing is changed. */
  readonly isSent: boolean;
  /** Largest number that it takes. */
  readonly max?: number;
  /** Values of a choice. */
  readonly options?: readonly string[];
}

interface OpenElement {
  readonly attributes: Attributes;
  text: string;
}

type Attributes = ReadonlyMap<string, string>;

const INVISIBLE = /<!--.*?-->|<(script|style|svg|template)\b([^>]*)>.*?<\/\1>/gis;
const TAG = /<(\/?)([a-z][a-z\d]*)((?:[^>"']|"[^"]*"|'[^']*')*)>/gi;
const ATTRIBUTE = /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>=`]+)))?/g;
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: ' ' };

/**
 * Reads the links, forms and files of a page. Reads what Pug writes, not all of HTML.
 *
 * @param url of the page: only what leads to the same origin is returned
 */
export function readPage(html: string, url: URL): Pick<Page, 'links' | 'forms' | 'files'> {
  const links: Link[] = [];
  const forms: Form[] = [];
  const files = new Set<string>();
  let link: OpenElement | undefined;
  let form: { attributes: Attributes; fields: Field[] } | undefined;
  let select: { attributes: Attributes; options: string[]; chosen?: string } | undefined;

  function pathOf(address: string | undefined): string | undefined {
    if (address === undefined || !URL.canParse(address, url.href)) return undefined;
    const { origin, pathname, search } = new URL(address, url.href);
    return origin === url.origin ? pathname + search : undefined;
  }

  function addFile(address: string | undefined): void {
    const path = pathOf(address);
    if (path !== undefined) files.add(path);
  }

  function close(tag: string): void {
    if (tag === 'a' && link) {
      const address = link.attributes.get('href') ?? '#';
      const path = pathOf(address);
      // A link within the page, such as "skip to the content", leads nowhere.
      if (path !== undefined && !address.startsWith('#'))
        links.push({ path, text: link.text.replace(/\s+/g, ' ').trim() });
      link = undefined;
    } else if (tag === 'form' && form) {
      const method = form.attributes.get('method')?.toUpperCase() === 'POST' ? 'POST' : 'GET';
      forms.push({ method, path: pathOf(form.attributes.get('action') ?? '') ?? url.pathname, fields: form.fields });
      form = undefined;
    } else if (tag === 'select' && select) {
      const { attributes, options, chosen = options[0] ?? '' } = select;
      const name = attributes.get('name');
      if (name) form?.fields.push({ name, type: 'select', value: chosen, isSent: true, options });
      select = undefined;
    }
  }

  function open(tag: string, attributes: Attributes): void {
    if (tag === 'a') link = { attributes, text: '' };
    else if (tag === 'form') form = { attributes, fields: [] };
    else if (tag === 'select') select = { attributes, options: [] };
    else if (tag === 'option' && select) {
      const value = attributes.get('value') ?? '';
      select.options.push(value);
      if (attributes.has('selected')) select.chosen = value;
    } else if (tag === 'img') {
      addFile(attributes.get('src'));
      if (link) link.text += ` ${attributes.get('alt') ?? ''} `;
    } else if (tag === 'link' && /\b(stylesheet|icon|manifest)\b/.test(attributes.get('rel') ?? '')) {
      addFile(attributes.get('href'));
    } else if (['input', 'textarea', 'button'].includes(tag)) {
      const field = readField(tag, attributes);
      if (field) form?.fields.push(field);
    }
  }

  for (const [, tag, attributes = ''] of html.matchAll(INVISIBLE)) {
    if (tag?.toLowerCase() === 'script') addFile(readAttributes(attributes).get('src'));
  }
  const visible = html.replace(INVISIBLE, '');
  let readTo = 0;
  for (const { 0: text, 1: slash, 2: name = '', 3: attributes = '', index } of visible.matchAll(TAG)) {
    if (link) link.text += decode(visible.slice(readTo, index));
    readTo = index + text.length;
    if (slash) close(name.toLowerCase());
    else open(name.toLowerCase(), readAttributes(attributes));
  }
  return { links, forms, files: [...files] };
}

function readField(tag: string, attributes: Attributes): Field | undefined {
  const name = attributes.get('name');
  if (!name || attributes.has('disabled')) return undefined;
  const type = tag === 'input' ? (attributes.get('type') ?? 'text') : tag;
  const isChoice = type === 'radio' || type === 'checkbox';
  const max = attributes.get('max');
  return {
    name,
    type,
    value: attributes.get('value') ?? (isChoice ? 'on' : ''),
    isSent: isChoice ? attributes.has('checked') : type !== 'button',
    ...(max !== undefined && { max: Number(max) }),
  };
}

function readAttributes(text: string): Attributes {
  const found = text.matchAll(ATTRIBUTE);
  return new Map(
    Array.from(found, ([, name = '', double, single, bare]) => [
      name.toLowerCase(),
      decode(double ?? single ?? bare ?? ''),
    ]),
  );
}

function decode(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (entity, decimal, hexadecimal, name) => {
    if (decimal) return String.fromCodePoint(Number(decimal));
    if (hexadecimal) return String.fromCodePoint(Number.parseInt(hexadecimal, 16));
    return ENTITIES[name] ?? entity;
  });
}
