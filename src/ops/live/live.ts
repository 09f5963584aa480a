import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { ClusterRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import type { Faults } from '../../faults/primary.ts';
import type { Logger } from '../../log.ts';
import type { Status } from '../status.ts';
import { courseKeys } from './charts.ts';
import { courseOf, histogramOf } from './course.ts';
import { Durations } from './durations.ts';
import { createErrors } from './errors.ts';
import { instantOf } from './evaluate.ts';
import { createFactReader } from './facts.ts';
import { FINE_STEP_MS, History, type Row } from './history.ts';
import { createReader } from './kept.ts';
import { isPage } from './keys.ts';
import { watchLocks } from './lock-waits.ts';
import type { Frame, Hello, Key, Mark, RouteHistogram, Span, Structure } from './model.ts';
import { changeOf, createNumbers } from './numbers.ts';
import { watchProducts } from './products.ts';
import { isBurst, judge } from './rules.ts';
import { createViewers, eventOf, MOST_VIEWERS } from './stream.ts';

const SECOND_MS = 1000;
/** Between two readings of how long requests took, without viewers; else they are as often as all others. */
const UNSEEN_STEP_MS = 10 * SECOND_MS;

const gzip = promisify(zlib.gzip);

export interface LiveOptions {
  registry: ClusterRegistry;
  /** With deadlines. Asked once a minute for the names of the products, and once a second while statements wait for locks. */
  database: Knex;
  status(): Status;
  /** Address of the shop, for a program on this machine. */
  shopUrl(): string;
  /** Null unless the environment allows rehearsed faults. */
  faults: Pick<Faults, 'active' | 'list'> | null;
  log: Logger;
}

/** JSON that is sent to every viewer who asks for it in the same second. */
export interface Answer {
  readonly json: Buffer;
  readonly gzipped: Buffer;
}

/** The numbers of the live page: kept once a second, computed only for viewers. */
export interface Live {
  /** The newest numbers, for a page without a stream. */
  frame(): Frame;
  structure(): Structure;
  course(span: Span): Promise<Answer>;
  /** @returns null for a route that the shop does not have */
  histogram(route: string, span: Span): RouteHistogram | null;
  /** Why there is no stream for another viewer, in a sentence; empty when there is one. */
  refusal(): string;
  /** Answers with the stream of events; the response is open until the viewer leaves. */
  stream(response: ServerResponse): void;
  /** Draws an event into the charts. */
  mark(kind: Mark['kind'], what: string): void;
  /** Ends all streams and stops reading. */
  close(): Promise<void>;
}

export function createLive({ registry, database, status, shopUrl, faults, log }: LiveOptions): Live {
  const history = new History();
  const durations = new Durations();
  const readNumbers = createNumbers(history, durations);
  const readFacts = createFactReader(history);
  const read = createReader(registry, (key) => history.makeColumn(key));
  const viewers = createViewers();
  const products = watchProducts(database, log, structureChanged);
  const errors = createErrors();
  const locks = watchLocks(database, log);
  const courses = new Map<Span, { readonly at: number; readonly answer: Promise<Answer> }>();
  let latest: ReadonlyMap<Key, number> = new Map();
  let version = 1;
  let routes: readonly string[] = [];
  let knownColumns = 0;
  let computed: { readonly row: Row; readonly version: number; readonly frame: Frame } | null = null;
  /** What the viewers have been sent; null while there are none. */
  let sent: Frame | null = null;
  let underWay: Promise<void> | null = null;
  let isFailing = false;
  let isClosed = false;

  function structureChanged(): void {
    version += 1;
    courses.clear();
    if (viewers.count > 0) viewers.send(eventOf('structure', structure()));
  }

  function structure(): Structure {
    const { primary, database, workers } = status();
    return {
      version,
      primary,
      database: { embedded: database.embedded },
      shop: shopUrl(),
      products: products.list(),
      routes,
      workers: workers.length,
      faults: faults?.list().map(({ name }) => name) ?? [],
    };
  }

  function noteRoutes(): void {
    if (history.columns.size === knownColumns) return;
    knownColumns = history.columns.size;
    const found = [...history.columns.keys()].flatMap((key) => {
      const [, route] = /^http_request_duration_seconds_count\{route="(.+)"\}$/.exec(key) ?? [];
      return route === undefined ? [] : [route];
    });
    if (found.length === routes.length) return;
    routes = found.sort((a, b) => Number(isPage(b)) - Number(isPage(a)) || (a < b ? -1 : 1));
    structureChanged();
  }

  async function tick(): Promise<void> {
    try {
      const areDurationsDue = viewers.count > 0 || performance.now() >= durations.latestMs + UNSEEN_STEP_MS;
      const reading = await read({ withDurations: areDurationsDue });
      const row = history.push(reading.values, performance.now(), Date.now());
      if (reading.durations) durations.push(reading.durations, row.monoMs);
      latest = reading.latest;
      errors.note(latest, row);
      locks.tick(latest.get('shop_db_server_waiting_locks') ?? 0);
      noteRoutes();
      isFailing = false;
    } catch (error) {
      if (!isFailing) log.error({ err: error }, 'the numbers of the live page could not be read');
      isFailing = true;
    }
    // Also after a failure: the frame then says how old the numbers are.
    if (viewers.count > 0) sendFrame();
    else sent = null;
  }

  function sendFrame(): void {
    const now = frame();
    if (sent) viewers.send(eventOf('frame', changeOf(sent, now)));
    sent = now;
  }

  /** Computed once for each row, and shared by all who ask. */
  function frame(): Frame {
    const row = history.latest;
    const ageMs = row ? performance.now() - row.monoMs : 0;
    const isFresh = ageMs < 2 * FINE_STEP_MS;
    if (row && computed?.row === row && computed.version === version && isFresh) return computed.frame;
    const { workers } = status();
    const common = { workers, errors: errors.rows(), lockWaits: locks.waits(), faults: faults?.active() ?? [] };
    if (!row) return { ...common, at: Date.now(), values: {}, ...judge(null, 0), burst: false };
    const instant = instantOf(history, row);
    const facts = readFacts(instant, latest, workers);
    const made: Frame = {
      ...common,
      at: row.at,
      values: readNumbers(instant, latest, structure()),
      ...judge(facts, ageMs / SECOND_MS),
      burst: isBurst(facts),
    };
    computed = { row, version, frame: made };
    return made;
  }

  async function answerCourse(span: Span): Promise<Answer> {
    const json = Buffer.from(JSON.stringify(courseOf(history, span, courseKeys(structure()))));
    return { json, gzipped: await gzip(json, { level: zlib.constants.Z_BEST_SPEED }) };
  }

  function beginTick(): void {
    underWay ??= tick().finally(() => {
      underWay = null;
    });
  }

  beginTick();
  const timer = setInterval(beginTick, FINE_STEP_MS).unref();

  return {
    frame,
    structure,
    course(span) {
      const at = history.latest?.monoMs ?? 0;
      const known = courses.get(span);
      if (known?.at === at) return known.answer;
      const answer = answerCourse(span);
      courses.set(span, { at, answer });
      return answer;
    },
    histogram(route, span) {
      return routes.includes(route) ? histogramOf(history, durations, route, span) : null;
    },
    refusal() {
      if (isClosed) return 'The shop stops.';
      return viewers.isFull
        ? `${MOST_VIEWERS} pages are open, as many as this primary serves: close some of them.`
        : '';
    },
    stream(response) {
      sent ??= frame();
      const hello: Hello = { structure: structure(), frame: sent };
      viewers.add(response, eventOf('hello', hello));
    },
    mark(kind, what) {
      const mark = { at: Date.now(), kind, what };
      history.mark(mark);
      if (viewers.count > 0) viewers.send(eventOf('mark', mark));
    },
    async close() {
      isClosed = true;
      clearInterval(timer);
      viewers.close();
      await Promise.all([underWay, products.stop(), locks.stop()]);
    },
  };
}
