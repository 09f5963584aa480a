import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import send from 'koa-send';
import { notFound } from '../shop/errors.ts';
import { NO_PAGE } from './failures.ts';
import type { WebContext } from './state.ts';

const YEAR_SECONDS = 365 * 24 * 60 * 60;
const MINUTE_SECONDS = 60;

/** The files of `public/`, as they are when the process starts. */
export interface Assets {
  /** Address of a file with its version: `/static/shop.css?v=1f0c…`. */
  url(path: string): string;
  /** Answers with a file: for ever in caches when the version is right, else for a minute. */
  serve(ctx: WebContext, path: string): Promise<void>;
}

/** @param root absolute folder; what is not in it now is never served, so no path leads out of it */
export function createAssets(root: string): Assets {
  const versions = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = file.slice(root.length + 1).replaceAll('\\', '/');
    versions.set(path, createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16));
  }

  return {
    url(path) {
      const version = versions.get(path);
      return version === undefined ? `/static/${path}` : `/static/${path}?v=${version}`;
    },

    async serve(ctx, path) {
      const version = versions.get(path);
      if (version === undefined) throw notFound(NO_PAGE);
      const cache = ctx.query.v === version ? `max-age=${YEAR_SECONDS}, immutable` : `max-age=${MINUTE_SECONDS}`;
      ctx.set('Cache-Control', `public, ${cache}`);
      ctx.status = 200;
      ctx.etag = version;
      if (ctx.fresh) {
        ctx.status = 304;
        return;
      }
      await send(ctx, path, { root });
    },
  };
}
