import { sampleRegularly } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { isDatabaseFailure } from '../../db/index.ts';
import type { WorkerMetrics } from '../../instrument/worker-metrics.ts';
import { createOutageLog, type Logger } from '../../log.ts';
import { unavailable } from '../errors.ts';
import { type Catalogue, createCatalogue } from './catalogue.ts';
import { parseContent, readCatalogue, readRanking } from './queries.ts';

/** The catalogue in this process' memory, half a second behind the database, or as old as the gauge says. */
export interface CatalogueWatch {
  /**
   * The catalogue as it was last read. It is another object only when pages show something else.
   *
   * @throws why it has never been read: a failure of the database is answered with 503
   */
  current(): Catalogue;
  /** The same for an error page, which must not fail: null when it has never been read. */
  known(): Catalogue | null;
  /**
   * Resolves when it has been read, or the database has failed.
   *
   * @throws every other error, such as a missing right or column: no wait mends it, so the process should not serve
   */
  readonly first: Promise<void>;
  /** Resolves when the last query has ended. */
  stop(): Promise<void>;
}

/** How often the catalogue is read even if the version is the same, because of failovers: see {@link readCatalogue}. */
const READ_INTERVAL_MS = 60_000;
/** How often the best sellers are ranked: a ranking at each sale would change pages all the time. */
const RANK_INTERVAL_MS = 60_000;

const NOT_COMPARED = 'the catalogue or its ranking could not be read from the database: the last state is shown';
const NEVER_READ = 'the catalogue could not be read: pages that need it are answered with 503 until it can be';

/**
 * Keeps the catalogue in memory: compares it with the database twice a second, and reads it when it has changed. The
 * ranking of the best sellers is read once a minute.
 * A comparison waits for a connection of the pool like a page. While slow pages hold all connections, changes are shown
 * later: the age tells.
 *
 * While the database does not answer, the last state stays, and `shop_catalogue_age_seconds` grows. The
 * database alone decides whether a product is sold, at which price and from which stock.
 */
export function watchCatalogue(
  database: Knex,
  metrics: Pick<WorkerMetrics, 'catalogueAge' | 'declareProducts'>,
  log: Logger,
): CatalogueWatch {
  let rowsVersion = '';
  let content = '';
  let ranking = '{}';
  let catalogue: Catalogue | null = null;
  let failure: unknown;
  let comparedMs = performance.now();
  let readMs = Number.NEGATIVE_INFINITY;
  let rankedMs = Number.NEGATIVE_INFINITY;
  const outages = createOutageLog(log);

  function showAge(): void {
    metrics.catalogueAge.set((performance.now() - comparedMs) / 1000);
  }

  function take(newContent: string, newRanking: string): void {
    // Most changes of a stock, and most sales, are none that a page shows.
    if (newContent === content && newRanking === ranking) return;
    const parsed = parseContent(newContent, newRanking);
    catalogue = createCatalogue(parsed, (catalogue?.version ?? 0) + 1);
    content = newContent;
    ranking = newRanking;
    metrics.declareProducts(parsed.products.map(({ slug }) => slug));
  }

  async function compare(): Promise<void> {
    const startedMs = performance.now();
    try {
      const isDue = startedMs - readMs >= READ_INTERVAL_MS;
      const read = await readCatalogue(database, isDue ? '' : rowsVersion);
      if (read.content !== null) {
        take(read.content, ranking);
        readMs = startedMs;
      }
      rowsVersion = read.version;
      comparedMs = startedMs;
      if (startedMs - rankedMs >= RANK_INTERVAL_MS) {
        // Before it is known to work: a ranking that fails is not tried twice a second.
        rankedMs = startedMs;
        take(content, await readRanking(database));
      }
      outages.worked('the catalogue is compared with the database again');
      failure = undefined;
    } finally {
      comparing = undefined;
      showAge();
    }
  }

  function noteFailure(error: unknown): void {
    outages.failed(error, catalogue ? NOT_COMPARED : NEVER_READ);
    failure = error;
  }

  let comparing: Promise<void> | undefined;
  const first = compare().catch((error: unknown) => {
    if (!isDatabaseFailure(error)) throw error;
    noteFailure(error);
  });
  comparing = first;
  // The sample does not wait for the answer, so that the age grows while a query hangs.
  const sampler = sampleRegularly(function watch() {
    showAge();
    comparing ??= compare().catch(noteFailure);
  });

  return {
    current() {
      if (catalogue) return catalogue;
      throw failure ?? unavailable('database');
    },
    known: () => catalogue,
    first,
    async stop() {
      await sampler.stop();
      // What `first` throws is for its own reader.
      await comparing?.catch(() => {});
    },
  };
}
