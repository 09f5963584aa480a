import { request } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

/** What Firefox sends for a page, apart from its cookies. */
export const BROWSER_HEADERS = {
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language': 'pt-BR,pt;q=0.8,en-US;q=0.5,en;q=0.3',
  'Accept-Encoding': 'gzip, deflate, br',
  'Upgrade-Insecure-Requests': '1',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Site': 'same-origin',
};

/** An answer as it came over the network: compressed, if the server compressed it. */
export interface RawAnswer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** A browser with one visitor's cookies. It does not follow redirects. */
export interface BrowserVisitor {
  /** @param headers added to those of a browser and to the cookies; undefined removes one */
  get(path: string, headers?: Record<string, string | undefined>): Promise<RawAnswer>;
  post(path: string, fields: Record<string, string>): Promise<RawAnswer>;
  /** A browser's headers and the cookies. */
  headers(): Record<string, string>;
}

const DEADLINE_MS = 15_000;

export function createBrowserVisitor(origin: string): BrowserVisitor {
  const cookies = new Map<string, string>();

  async function send(
    method: string,
    path: string,
    headers: Record<string, string | undefined>,
    body = '',
  ): Promise<RawAnswer> {
    const answer = await ask(new URL(path, origin), method, { ...allHeaders(), ...headers }, body);
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) cookies.set(name, value);
    }
    return answer;
  }

  function allHeaders(): Record<string, string> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    return { ...BROWSER_HEADERS, ...(cookie !== '' && { Cookie: cookie }) };
  }

  return {
    get: (path, headers = {}) => send('GET', path, headers),
    post: (path, fields) => send('POST', path, { 'Content-Type': FORM }, new URLSearchParams(fields).toString()),
    headers: allHeaders,
  };
}

export const FORM = 'application/x-www-form-urlencoded';

function ask(url: URL, method: string, headers: Record<string, string | undefined>, body: string): Promise<RawAnswer> {
  const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
  return new Promise((resolve, reject) => {
    request(url, { method, headers: sent, signal: AbortSignal.timeout(DEADLINE_MS) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    })
      .once('error', reject)
      .end(body);
  });
}

/** The text of an answer. */
export function textOf({ headers, body }: RawAnswer): string {
  const decode = { br: brotliDecompressSync, gzip: gunzipSync }[String(headers['content-encoding'])];
  return (decode ? decode(body) : body).toString('utf8');
}
