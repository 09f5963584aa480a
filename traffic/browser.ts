import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip } from 'node:zlib';
import type { Courtesy } from './courtesy.ts';
import { type Form, type Page, readPage } from './page.ts';
import type { Tally } from './tally.ts';

/** One person's browser: cookies, kept pages and files, kept connections. */
export interface Browser {
  /** Shows a page and loads its files, those that it does not have yet. Follows redirects. */
  open(path: string): Promise<Page>;
  /**
   * Submits a form and shows the answer.
   *
   * @param values of fields, choices and buttons, by name; the other fields are sent as the page has them
   */
  submit(form: Form, values: Readonly<Record<string, string>>): Promise<Page>;
  /** Closes its connections. */
  close(): void;
}

/** The shop did not answer, or asked to come back later more than once. The visit is over. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

export interface BrowserDeps {
  /** Of the shop. */
  readonly url: URL;
  readonly tally: Tally;
  /** Shared by all browsers, since the shop counts the forms of an address. */
  readonly courtesy: Courtesy;
}

/** What Firefox sends with each request, and with a page. */
const HEADERS = {
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 FakeShopTraffic',
  'Accept-Language': 'pt-BR,pt;q=0.8,en-US;q=0.5,en;q=0.3',
  'Accept-Encoding': 'gzip, deflate, br',
};
const PAGE_HEADERS = {
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Upgrade-Insecure-Requests': '1',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-User': '?1',
};
const FILE_HEADERS = { Accept: '*/*', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Site': 'same-origin' };

/** As browsers allow to one server. */
const CONNECTIONS = 6;
/** Longer than the shop needs to answer a page that isn't ready. */
const DEADLINE_MS = 15_000;
const MOST_REDIRECTS = 5;
/** Repeats of a request that the shop refused for now. */
const MOST_REPEATS = 2;

interface Sent {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly form?: URLSearchParams;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const decoders: Record<string, (body: Buffer) => Promise<Buffer>> = {
  br: promisify(brotliDecompress),
  gzip: promisify(gunzip),
};

export function createBrowser({ url, tally, courtesy }: BrowserDeps): Browser {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const cookies = new Map<string, string>();
  const pages = new Map<string, { etag: string; page: Page }>();
  const files = new Set<string>();
  let shown: Page | undefined;

  function commonHeaders(): Record<string, string> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    return {
      ...HEADERS,
      ...(cookie !== '' && { Cookie: cookie }),
      ...(shown && { Referer: new URL(shown.path, url).href }),
    };
  }

  /** Sends a request once, and notes what it did. */
  async function send(sent: Sent): Promise<Answer> {
    const startedMs = performance.now();
    try {
      const answer = await ask(agent, url, sent);
      const { status, headers } = answer;
      tally.answered({ ...sent, status, location: headers.location, ms: performance.now() - startedMs });
      for (const line of headers['set-cookie'] ?? []) keepCookie(line);
      return answer;
    } catch (error) {
      tally.unanswered(describeFailure(error));
      throw new NoAnswer('the shop did not answer', { cause: error });
    }
  }

  function keepCookie(line: string): void {
    const [, name, value] = /^([^=;]+)=([^;]*)/.exec(line) ?? [];
    if (name === undefined || value === undefined) return;
    if (/;\s*(?:max-age=0|expires=Thu, 01 Jan 1970)/i.test(line)) cookies.delete(name);
    else cookies.set(name, value);
  }

  /** Sends a request, and repeats it as late as the shop asks for. */
  async function sendPatiently(sent: Sent): Promise<Answer> {
    for (let repeats = 0; ; repeats++) {
      if (sent.method === 'POST') await courtesy.turnToPost();
      const answer = await send(sent);
      if (answer.status !== 429 && answer.status !== 503) return answer;
      if (repeats === MOST_REPEATS) throw new NoAnswer(`the shop answered ${answer.status} each time`);
      await courtesy.refused(answer.status, Number(answer.headers['retry-after']));
    }
  }

  async function navigate(first: Pick<Sent, 'method' | 'path' | 'form'>): Promise<Page> {
    let next = first;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const kept = next.method === 'GET' ? pages.get(next.path) : undefined;
      const answer = await sendPatiently({
        ...next,
        headers: {
          ...commonHeaders(),
          ...PAGE_HEADERS,
          'Sec-Fetch-Site': shown ? 'same-origin' : 'none',
          ...(kept && { 'If-None-Match': kept.etag }),
          ...(next.form && { Origin: url.origin, 'Content-Type': 'application/x-www-form-urlencoded' }),
        },
      });
      const target = redirectOf(answer, new URL(next.path, url));
      if (target === undefined) return show(next.path, answer, kept?.page);
      next = { method: 'GET', path: target };
    }
    throw new NoAnswer(`the shop redirected more than ${MOST_REDIRECTS} times`);
  }

  async function show(path: string, { status, headers, body }: Answer, kept: Page | undefined): Promise<Page> {
    const isKept = status === 304 && kept;
    const decode = decoders[headers['content-encoding'] ?? ''];
    const page = isKept
      ? kept
      : { path, status, ...readPage((decode ? await decode(body) : body).toString(), new URL(path, url)) };
    if (!isKept && status === 200 && headers.etag !== undefined) pages.set(path, { etag: headers.etag, page });
    shown = page;
    await Promise.all(page.files.map(load));
    return page;
  }

  async function load(path: string): Promise<void> {
    if (files.has(path)) return;
    files.add(path);
    await send({ method: 'GET', path, headers: { ...commonHeaders(), ...FILE_HEADERS } });
  }

  return {
    open: (path) => navigate({ method: 'GET', path }),
    submit({ method, path, fields }, values) {
      const form = new URLSearchParams();
      for (const { name, value, isSent } of fields) {
        const typed = values[name];
        if ((isSent || typed !== undefined) && !form.has(name)) form.set(name, typed ?? value);
      }
      return method === 'POST' ? navigate({ method, path, form }) : navigate({ method, path: `${path}?${form}` });
    },
    close: () => agent.destroy(),
  };
}

/** @returns the path that an answer leads to, undefined when it is no redirect within the shop */
function redirectOf({ status, headers }: Answer, from: URL): string | undefined {
  if (status < 300 || status >= 400 || headers.location === undefined) return undefined;
  const target = new URL(headers.location, from);
  return target.origin === from.origin ? target.pathname + target.search : undefined;
}

function describeFailure(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException;
  return name === 'AbortError' ? `after ${DEADLINE_MS / 1000} s` : (code ?? name);
}

function ask(agent: Agent, url: URL, sent: Sent): Promise<Answer> {
  const { method, path, headers, form } = sent;
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, url), { agent, method, headers, signal: AbortSignal.timeout(DEADLINE_MS) });
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    outgoing.once('error', (error: NodeJS.ErrnoException) => {
      // As browsers do: a kept connection that was closed at this moment has not carried the request.
      if (outgoing.reusedSocket && error.code === 'ECONNRESET') resolve(ask(agent, url, sent));
      else reject(error);
    });
    outgoing.end(form?.toString());
  });
}
