import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from '../paths.ts';

/** A place in the sources. */
export interface Position {
  /** As a person looks for it: `src/shop/money.ts`, `node_modules/koa/lib/application.js`, `node:internal/timers`. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** Finds the line of TypeScript that a line of the running program was compiled from. */
export interface Positions {
  /**
   * @param url of a script, as the inspector names it
   * @param line from 0
   * @param column from 0
   */
  find(url: string, line: number, column: number): Position;
}

/** Column for the last statement of a line: source maps have nothing at the beginning of an indented one. */
export const END_OF_LINE = 1_000_000;

interface FoundMap {
  readonly map: SourceMap;
  readonly folder: string;
}

/** Reads the source map beside each script, once. A script without one has its own positions. */
export function readPositions(): Positions {
  const maps = new Map<string, FoundMap | null>();
  return {
    find(url, line, column) {
      let found = maps.get(url);
      if (found === undefined) {
        found = readMap(url);
        maps.set(url, found);
      }
      const entry = found?.map.findEntry(line, column);
      if (found && entry && 'originalSource' in entry) {
        const { originalSource, originalLine, originalColumn } = entry;
        const file = inProject(resolve(found.folder, originalSource));
        return { file, line: originalLine + 1, column: originalColumn + 1 };
      }
      const path = pathIn(url);
      return { file: path === null ? url : inProject(path), line: line + 1, column: column + 1 };
    },
  };
}

function readMap(url: string): FoundMap | null {
  const path = pathIn(url);
  if (path === null) return null;
  try {
    return { map: new SourceMap(JSON.parse(readFileSync(`${path}.map`, 'utf8'))), folder: dirname(path) };
  } catch {
    return null;
  }
}

/** A module has a URL, a CommonJS module a path; a part of Node.js has neither. */
function pathIn(url: string): string | null {
  if (url.startsWith('file:')) return fileURLToPath(url);
  return isAbsolute(url) ? url : null;
}

/** The folder of a build, which `dist` leads to. */
const BUILD = /^\.builds\/[^/]+\//;

/**
 * From the project's folder or the folder of packages: the rest depends on the machine and the build. What the build makes
 * without a source map, such as the functions of the templates, is in `dist`.
 */
function inProject(path: string): string {
  const packages = path.lastIndexOf('/node_modules/');
  return packages >= 0 ? path.slice(packages + 1) : relative(projectRoot, path).replace(BUILD, 'dist/');
}
