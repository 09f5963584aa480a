import type { Knex } from 'knex';
import { createOutageLog, type Logger } from '../../log.ts';
import { withDeadline } from '../../promises.ts';
import { noteVisits } from './queries.ts';

const SECOND_MS = 1_000;
/** How often one visitor is noted. */
export const NOTE_INTERVAL_MS = 15 * SECOND_MS;
/** How often visits are written. */
const WRITE_INTERVAL_MS = 1 * SECOND_MS;
/** Rows of one statement: few enough to be done in time on any disk, unnoticed by visitors. */
const BATCH = 500;
/** More visitors than one worker serves in a second, and less than 1 MB. */
const MOST_WAITING = 10_000;
/** A drain waits no longer for the last visits. */
const STOP_MS = 500;

const NOT_NOTED = 'visits could not be noted: shop_active_sessions may be too low';

/** Notes when visitors were last seen, which no page waits for. */
export interface Visits {
  /**
   * Has the visit written within about a second.
   *
   * @returns false when too many are waiting; the visitor's next page tries again
   */
  note(sessionId: string): boolean;
  /** Writes the visits that wait, unless the database fails or takes longer than half a second. */
  stop(): Promise<void>;
}

/**
 * Collects visits, and writes them once a second in few statements. Visits are lost with a worker that is killed, and
 * with a statement that fails: writing them later would show visitors as active who have left. Visitors who are still
 * active are noted again after 15 seconds.
 */
export function createVisits(database: Knex, log: Logger): Visits {
  let waiting = new Set<string>();
  let underWay: Promise<void> | null = null;
  let isFailing = false;
  const outages = createOutageLog(log);

  async function write(): Promise<void> {
    const ids = [...waiting];
    waiting = new Set();
    try {
      for (let i = 0; i < ids.length; i += BATCH) await noteVisits(database, ids.slice(i, i + BATCH));
      outages.worked('visits are noted again');
      isFailing = false;
    } catch (error) {
      outages.failed(error, NOT_NOTED);
      isFailing = true;
    }
    underWay = null;
  }

  async function writeLast(): Promise<void> {
    await underWay;
    if (!isFailing) await write();
  }

  const timer = setInterval(() => {
    if (waiting.size > 0) underWay ??= write();
  }, WRITE_INTERVAL_MS).unref();

  return {
    note(sessionId) {
      if (waiting.size === MOST_WAITING) return waiting.has(sessionId);
      waiting.add(sessionId);
      return true;
    },
    async stop() {
      clearInterval(timer);
      try {
        await withDeadline(writeLast(), STOP_MS, () => new Error(`not written within ${STOP_MS} ms`));
      } catch (error) {
        outages.failed(error, NOT_NOTED);
      }
    },
  };
}
