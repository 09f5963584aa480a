import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Context } from 'koa';
import { createNegotiator, type Encoding, encode } from '../../http/encodings.ts';
import { builtFile } from './built.ts';

const FOR_A_YEAR = `public, max-age=${365 * 24 * 60 * 60}, immutable`;
const FILES_AT = '/live/files';

/** Route of the page's files. */
export const FILES_ROUTE = `${FILES_AT}/:version/:file`;

/** The files that the browser loads. They are in memory, encoded once each. */
export interface LiveFiles {
  /** Address of a file: `main.js`, `live.css` or `favicon.svg`. */
  url(file: string): string;
  /** Answers with a file; leaves the answer alone when there is none of that name and version. */
  serve(ctx: Context): void;
}

interface LiveFile {
  readonly content: Buffer;
  readonly encoded: Map<Encoding, Buffer>;
}

/** Reads the bundled script, the style sheet and the icon from the build. */
export function readLiveFiles(): LiveFiles {
  const folder = builtFile('client');
  const files = new Map(
    readdirSync(folder).map((name): [string, LiveFile] => [
      name,
      { content: readFileSync(join(folder, name)), encoded: new Map() },
    ]),
  );

  const hash = createHash('sha256');
  for (const [name, { content }] of files) hash.update(`${name} ${content.length}\n`).update(content);
  const version = hash.digest('hex').slice(0, 16);
  const negotiate = createNegotiator();

  return {
    url: (name) => `${FILES_AT}/${version}/${name}`,

    serve(ctx) {
      const { version: wanted, file: name } = ctx.params as { version: string; file: string };
      const file = wanted === version ? files.get(name) : undefined;
      if (!file) return;
      const encoding = negotiate(ctx.get('accept-encoding'));
      let body = file.encoded.get(encoding);
      if (!body) {
        body = encode(file.content, encoding);
        file.encoded.set(encoding, body);
      }
      ctx.set('Cache-Control', FOR_A_YEAR);
      ctx.vary('Accept-Encoding');
      if (encoding !== 'identity') ctx.set('Content-Encoding', encoding);
      ctx.type = extname(name);
      ctx.body = body;
    },
  };
}
