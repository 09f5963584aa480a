import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClusterRegistry } from '../src/index.ts';
import { decodeRecords, encodeRecord, parseStoreFileName, storeFileName } from '../src/store/layout.ts';
import { startTimeOf } from '../src/store/process-identity.ts';
import { type Exposition, parseExposition } from '../src/testing/index.ts';
import { openWorker } from './support/stores.ts';

const text = fc.string({ unit: 'binary' });
const label = fc.option(text, { nil: null });
const metricRecord = fc.record({
  kind: fc.constant('metric' as const),
  description: fc.record(
    {
      name: text,
      help: text,
      type: fc.constantFrom('counter', 'gauge', 'histogram', 'summary'),
      aggregator: fc.constantFrom('sum', 'max'),
      labelNames: fc.array(text),
      buckets: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true })),
      quantiles: fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
      maxAgeSeconds: fc.integer({ min: 1 }),
    },
    { requiredKeys: ['name', 'help', 'type', 'aggregator', 'labelNames'] },
  ),
});
const seriesRecord = fc.record(
  {
    kind: fc.constant('series' as const),
    metric: fc.nat(),
    labels: fc.array(label),
    slot: fc.nat(),
    startMs: fc.nat(),
  },
  { requiredKeys: ['kind', 'metric', 'labels', 'slot', 'startMs'] },
);
const chunkRecord = fc.record({
  kind: fc.constant('series' as const),
  metric: fc.nat(),
  labels: fc.array(label),
  slot: fc.nat(),
  chunk: fc.integer({ min: -2048, max: 2047 }),
});
const records = fc.array(fc.oneof(metricRecord, seriesRecord, chunkRecord), { maxLength: 20 });

test('records that are written into a directory are read from it', () => {
  fc.assert(
    fc.property(records, (written) => {
      const bytes = Buffer.concat(written.map(encodeRecord));
      const { records: read, bytesRead } = decodeRecords(bytes);
      assert.equal(bytesRead, bytes.length);
      assert.equal(JSON.stringify(read), JSON.stringify(written));
    }),
  );
});

test('a directory that is cut or changed gives the records before that place', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.integer({ min: 1, max: 255 }), (written, at, change) => {
      const bytes = Buffer.concat(written.map(encodeRecord));
      const place = bytes.length === 0 ? 0 : at % bytes.length;
      const all = JSON.stringify(written);

      const cut = decodeRecords(bytes.subarray(0, place)).records;
      assert.ok(all.startsWith(JSON.stringify(cut).slice(0, -1)));

      bytes[place] = (bytes[place] ?? 0) ^ change;
      const changed = decodeRecords(bytes).records;
      assert.ok(all.startsWith(JSON.stringify(changed).slice(0, -1)));
    }),
  );
});

test('a file name is read as it was written', () => {
  const name = fc.record({
    worker: fc.stringMatching(/^\w{1,64}$/),
    pid: fc.nat(),
    thread: fc.nat(),
    startTime: fc.nat(),
    life: fc.integer({ min: 0, max: 2 ** 48 }),
  });
  fc.assert(
    fc.property(name, (written) => assert.deepEqual(parseStoreFileName(storeFileName(written)), { ...written })),
  );
});

/** One event in the life of a cluster. `worker` chooses one of the places. */
const event = fc.oneof(
  { weight: 5, arbitrary: fc.record({ act: fc.nat(100), kind: fc.constantFrom('a', 'b"\\\n'), worker: fc.nat() }) },
  { weight: 5, arbitrary: fc.record({ size: fc.double({ min: 0, max: 200, noNaN: true }), worker: fc.nat() }) },
  { weight: 9, arbitrary: fc.record({ took: fc.double({ min: -10, max: 1e6, noNaN: true }), worker: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ death: fc.constant(true), worker: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ scrape: fc.constant(true) }) },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

const eventsInTwoOrders = fc
  .array(event, { maxLength: 60 })
  .chain((events) =>
    fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length, maxLength: events.length })),
  );

/** A store that seems to be of a process of its own, which can be killed. */
async function openLife(directory: string, place: number) {
  const body: ChildProcess = spawn('sleep', ['1000']);
  await once(body, 'spawn');
  const worker = openWorker(directory, place);
  const path = worker.store.path as string;
  const name = parseStoreFileName(basename(path));
  if (name === null || body.pid === undefined) throw new Error('the store has a name and the process a pid');
  renameSync(path, join(dirname(path), storeFileName({ ...name, pid: body.pid, startTime: startTimeOf(body.pid) })));
  return {
    ...worker,
    async die() {
      worker.store.close();
      body.kill('SIGKILL');
      await once(body, 'exit');
    },
  };
}

/** Plays the events on a number of places and scrapes at the end. */
async function live(events: readonly Event[], places: number): Promise<{ last: Exposition; losses: string[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'lives-'));
  const lives = await Promise.all(Array.from({ length: places }, (_, place) => openLife(directory, place)));
  const registry = new ClusterRegistry({ directory });
  const losses: string[] = [];
  let before = parseExposition('');
  const scrape = async () => {
    const after = parseExposition(await registry.clusterMetrics());
    losses.push(...after.decreases(before).filter((line) => !line.startsWith('took_seconds_sum')));
    before = after;
  };

  try {
    for (const happens of events) {
      if ('scrape' in happens) {
        await scrape();
        continue;
      }
      const place = happens.worker % places;
      const worker = lives[place];
      if (worker === undefined) throw new Error('every place is taken');
      if ('act' in happens) worker.counter.inc({ kind: happens.kind }, happens.act);
      if ('size' in happens) worker.histogram.observe({ route: '/' }, happens.size);
      if ('took' in happens) worker.summary.observe(happens.took);
      if ('death' in happens) {
        await worker.die();
        lives[place] = await openLife(directory, place);
      } else {
        worker.store.flush();
      }
    }
    await scrape();
    return { last: before, losses };
  } finally {
    await Promise.all(lives.map((life) => life.die()));
    registry.close();
    rmSync(directory, { recursive: true });
  }
}

test('any split over workers, in any order and with any deaths, gives the result of one worker', async () => {
  await fc.assert(
    fc.asyncProperty(eventsInTwoOrders, fc.integer({ min: 2, max: 8 }), async ([events, shuffled], places) => {
      const { last: many, losses } = await live(events, places);
      const { last: one } = await live(
        shuffled.filter((happens) => !('death' in happens)),
        1,
      );
      assert.deepEqual(losses, []);
      const own = ({ samples }: Exposition) => samples.filter(({ name }) => !name.startsWith('cluster_metrics'));
      const series = (page: Exposition) => own(page).map(({ series }) => series);
      assert.deepEqual(series(many).sort(), series(one).sort());
      for (const { name, series, value } of own(one)) {
        // Sums of fractions depend on the order in their last bits. All other values are exact.
        const tolerance = name.endsWith('_sum') ? 1e-9 * Math.max(1, Math.abs(value)) * events.length : 0;
        const other = many.of(series);
        assert.ok(
          Object.is(other, value) || Math.abs(other - value) <= tolerance,
          `${series}: ${other} of many, ${value} of one`,
        );
      }
    }),
    { numRuns: 60 },
  );
});
