import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import type { Context } from 'koa';
import { createNegotiator, type Encoding, encode } from '../../http/encodings.ts';
import { builtFile } from './built.ts';

const FOR_A_YEAR = `public, max-age=${365 * 24 * 60 * 60}, immutable`;
const FILES_AT = '/live/files';

/** Route of the page's files. */
export const FILES_ROUTE = `${FILES_AT}/:version/*file`;

/** The files that the browser loads. They are in memory, encoded once each. */
export interface LiveFiles {
  /** Address of a file of this folder. All files have the version of them all, since the scripts import one another. */
  url(file: string): string;
  /** Addresses of all modules that the page's script imports, so that they are loaded at once. */
  readonly modules: readonly string[];
  /** Answers with a file; leaves the answer alone when there is none of that name and version. */
  serve(ctx: Context): void;
}

interface LiveFile {
  readonly content: Buffer;
  readonly encoded: Map<Encoding, Buffer>;
}

/** Reads the scripts and styles of the page from the build, and uPlot from its package. */
export function readLiveFiles(): LiveFiles {
  const folder = builtFile('');
  const uPlot = dirname(createRequire(import.meta.url).resolve('uplot'));
  /** By their paths in `src`, so that the scripts find one another. */
  const files = new Map<string, LiveFile>();
  const read = (name: string, path: string) => files.set(name, { content: readFileSync(path), encoded: new Map() });

  for (const name of readdirSync(join(folder, 'client'))) {
    if (['.js', '.css', '.svg'].includes(extname(name))) read(`${HERE}/client/${name}`, join(folder, 'client', name));
  }
  for (const name of SHARED) read(`${HERE}/${name}`, join(folder, name));
  read(LABEL_VALUES, join(folder, '../..', LABEL_VALUES));
  for (const name of ['uPlot.iife.min.js', 'uPlot.min.css']) read(`${HERE}/${name}`, join(uPlot, name));

  const hash = createHash('sha256');
  for (const [name, { content }] of files) hash.update(`${name} ${content.length}\n`).update(content);
  const version = hash.digest('hex').slice(0, 16);
  const negotiate = createNegotiator();

  const url = (name: string) => `${FILES_AT}/${version}/${name}`;

  return {
    url: (name) => url(`${HERE}/${name}`),
    modules: [...files.keys()].filter((name) => name.endsWith('.js') && !name.includes('uPlot')).map(url),

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

/** This folder. */
const HERE = 'ops/live';
const LABEL_VALUES = 'instrument/label-values.js';
/** Modules of this folder that the primary and the browser both run. */
const SHARED = [
  ...['bins.js', 'charts.js', 'format.js', 'keys.js', 'model.js', 'rule-texts.js', 'seven.js', 'texts.js', 'view.js'],
];
