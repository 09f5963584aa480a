import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';

const src = join(projectRoot, 'src');

/** From top to bottom: a room imports from lower layers only. The shop counts its actions, so it is above instrument. */
const LAYERS = [
  ['main'],
  ['cluster'],
  ['web', 'ops'],
  ['faults'],
  ['shop'],
  ['instrument', 'payments', 'http', 'debug'],
  ['db'],
  ['promises', 'build-info'],
  ['log', 'paths', 'deadlines'],
  ['config'],
  ['start-error', 'describe-error'],
];

interface Import {
  readonly from: string;
  readonly to: string;
  /** Gone when the program runs. */
  readonly isType: boolean;
}

const imports = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => importsOf(join(src, file)));

function importsOf(from: string): Import[] {
  const found = readFileSync(from, 'utf8').matchAll(/(?:^(?:import|export) (type )?[^;]*?|import\()'(\.[^']+)'/gm);
  return Array.from(found, ([, type, path = '']) => ({
    from: relative(src, from),
    to: relative(src, join(dirname(from), path)),
    isType: type !== undefined,
  }));
}

/** The folder in src, or a file that is directly in src. Seeds and the check of Node.js are outside. */
function roomOf(file: string): string {
  return (file.split('/')[0] as string).replace(/\.ts$/, '');
}

/** The rooms whose code runs when this file is loaded. */
function roomsLoadedBy(file: string, seen = new Set([file])): Set<string> {
  for (const { from, to, isType } of imports) {
    if (from !== file || isType || seen.has(to)) continue;
    seen.add(to);
    roomsLoadedBy(to, seen);
  }
  return new Set(Array.from(seen, roomOf));
}

test('imports point one way', () => {
  const layerOf = (room: string) => LAYERS.findIndex((rooms) => rooms.includes(room));
  const between = imports
    .map(({ from, to }) => ({ from, to, rooms: [roomOf(from), roomOf(to)] as const }))
    .filter(({ to, rooms: [importer, imported] }) => importer !== imported && !to.startsWith('../'));
  assert.ok(between.length > 50, `${between.length} imports were found`);
  const wrong = between.filter(
    ({ rooms: [importer, imported] }) => layerOf(importer) === -1 || layerOf(importer) >= layerOf(imported),
  );
  assert.deepEqual(wrong, []);
});

test('the primary never loads the web application, a worker never the ops server', () => {
  const primary = roomsLoadedBy('cluster/primary.ts');
  const worker = roomsLoadedBy('cluster/worker.ts');
  assert.ok(primary.has('ops') && worker.has('shop'));
  for (const room of ['web', 'shop']) assert.ok(!primary.has(room), room);
  assert.ok(!worker.has('ops'));
  for (const rooms of [primary, worker]) assert.ok(rooms.has('faults'), 'dynamic imports count');
});
