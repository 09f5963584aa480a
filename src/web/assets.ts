import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { noSuchPage } from '../shop/errors.ts';
import type { WebContext } from './state.ts';

const YEAR_SECONDS = 365 * 24 * 60 * 60;
const MINUTE_SECONDS = 60;

/**
 * The files of `public/`, as they were when the process started. They are kept in memory (0.2 MB together), so that a
 * version always means the content from which it was computed, also when a file changes on disk.
 */
export interface Assets {
  /** Address of a file with its version: `/static/shop.css?v=1f0c…`. */
  url(path: string): string;
  /** Answers with a file: for a year in caches if the version is right, else for a minute. */
  serve(ctx: WebContext, path: string): void;
}

/** @param root absolute folder; only files that are in it now are served, so no path leads out of it */
export function createAssets(root: string): Assets {
  const files = new Map<string, { content: Buffer; version: string }>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = file.slice(root.length + 1).replaceAll('\\', '/');
    const content = readFileSync(file);
    files.set(path, { content, version: createHash('sha256').update(content).digest('hex').slice(0, 16) });
  }

  return {
    url(path) {
      const file = files.get(path);
      return file ? `/static/${path}?v=${file.version}` : `/static/${path}`;
    },

    serve(ctx, path) {
      const file = files.get(path);
      if (!file) throw noSuchPage();
      const isCurrent = ctx.query.v === file.version;
      const cache = isCurrent ? `max-age=${YEAR_SECONDS}, immutable` : `max-age=${MINUTE_SECONDS}`;
      ctx.set('Cache-Control', `public, ${cache}`);
      ctx.status = 200;
      ctx.etag = file.version;
      if (ctx.fresh) {
        ctx.status = 304;
        return;
      }
      ctx.type = extname(path);
      ctx.body = file.content;
    },
  };
}
