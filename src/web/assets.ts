import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { createNegotiator, type Encoding, encode } from '../http/encodings.ts';
import { type ReadyBody, sendIfChanged, sendReady } from './bodies.ts';
import type { WebContext, WebMiddleware } from './state.ts';

const FOR_A_YEAR = `public, max-age=${365 * 24 * 60 * 60}, immutable`;
const FOR_A_MINUTE = 'public, max-age=60';

/**
 * The files of `public/`, as they were when the process started. They are kept in memory (0.2 MB together, half as much
 * again compressed), so that a version always means the content from which it was computed, also when a file changes on
 * disk.
 */
export interface Assets {
  /** Address of a file with its version: `/static/shop.css?v=1f0c…`. */
  url(path: string): string;
  /**
   * Answers with a file: for a year in caches if the version is right, else for a minute.
   *
   * @returns false when there is no such file
   */
  serve(ctx: WebContext, path: string): boolean;
}

/** Route of the files' addresses. */
export const FILES_ROUTE = '/static/*path';
const FILES_AT = '/static/';

/**
 * Answers with files before the layers that files do not need, which would take longer than all else. An address that is
 * no file's, or is written in another way, is left to the router.
 */
export function serveAssets(assets: Assets): WebMiddleware {
  return function serveAssets(ctx, next) {
    const { url = '', method } = ctx.req;
    if (!url.startsWith(FILES_AT) || (method !== 'GET' && method !== 'HEAD')) return next();
    if (!assets.serve(ctx, ctx.path.slice(FILES_AT.length))) return next();
    ctx._matchedRoute = FILES_ROUTE;
    sendIfChanged(ctx);
    return Promise.resolve();
  };
}

/** @param root absolute folder; only files that are in it now are served, so no path leads out of it */
export function createAssets(root: string): Assets {
  const negotiate = createNegotiator();
  const files = new Map<string, AssetFile>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = file.slice(root.length + 1).replaceAll('\\', '/');
    files.set(path, new AssetFile(readFileSync(file)));
  }

  return {
    url(path) {
      const file = files.get(path);
      return file ? `/static/${path}?${file.query}` : `/static/${path}`;
    },

    serve(ctx, path) {
      const file = files.get(path);
      if (!file) return false;
      ctx.res.setHeader('Cache-Control', ctx.querystring === file.query ? FOR_A_YEAR : FOR_A_MINUTE);
      ctx.type = extname(path);
      sendReady(ctx, file.encoded(negotiate(ctx.req.headers['accept-encoding'])));
      return true;
    },
  };
}

/** A file as it is sent. */
class AssetFile {
  /** The end of its address: its version. */
  readonly query: string;
  readonly #content: Buffer;
  readonly #version: string;
  readonly #ready = new Map<Encoding, ReadyBody>();

  constructor(content: Buffer) {
    this.#content = content;
    this.#version = createHash('sha256').update(content).digest('hex').slice(0, 16);
    this.query = `v=${this.#version}`;
  }

  /** Encoded once, when it is first asked for, and only where that makes it smaller. */
  encoded(encoding: Encoding): ReadyBody {
    let ready = this.#ready.get(encoding);
    if (!ready) {
      ready = this.#encode(encoding);
      this.#ready.set(encoding, ready);
    }
    return ready;
  }

  #encode(encoding: Encoding): ReadyBody {
    const body = encode(this.#content, encoding);
    const isSmaller = body.length < this.#content.length;
    const vary = ['Vary', 'Accept-Encoding'] as const;
    if (!isSmaller) return { body: this.#content, headers: [vary, ['ETag', `"${this.#version}"`]] };
    return { body, headers: [vary, ['Content-Encoding', encoding], ['ETag', `"${this.#version}-${encoding}"`]] };
  }
}
