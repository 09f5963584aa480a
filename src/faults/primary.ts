import { Mutex } from 'async-mutex';
import type { Logger } from '../log.ts';
import { FAULT_NAMES, type FaultName, type FaultsLeft, MOST_SECONDS } from './names.ts';

const SECOND_MS = 1000;

/** A fault as `GET /faults` shows it. */
export interface FaultState {
  readonly name: FaultName;
  readonly on: boolean;
  /** ISO 8601; null while it is off. */
  readonly endsAt: string | null;
  /** Rounded up; null while it is off. */
  readonly secondsLeft: number | null;
}

/** A fault that this shop cannot have; the message is a sentence for the operator. */
export class FaultRefusedError extends Error {
  override readonly name = 'FaultRefusedError';
}

/** Switches rehearsed faults on and off. */
export interface Faults {
  /** All of them, also those that are off. */
  list(): FaultState[];
  /** Those that are on, with the time of their end in milliseconds since 1970. */
  active(): { readonly name: FaultName; readonly endsAt: number }[];
  /**
   * Begins a fault. One that is on ends at the new time.
   *
   * @param seconds until it ends by itself, 1 to {@link MOST_SECONDS}
   * @throws {FaultRefusedError}
   */
  begin(name: FaultName, seconds: number): Promise<void>;
  /** Ends a fault; does nothing when it is off. */
  end(name: FaultName): Promise<void>;
  /** Tells the workers which faults are on: for one that has just begun to serve. */
  tellWorkers(): void;
  /** Ends all faults. */
  stop(): Promise<void>;
}

/** A fault that the primary causes. All others are in the workers. */
export interface Actor {
  /**
   * @returns ends it
   * @throws {FaultRefusedError}
   */
  begin(): Promise<() => Promise<void>>;
}

export interface FaultsOptions {
  readonly actors: Readonly<Partial<Record<FaultName, Actor>>>;
  /** Sends every worker the faults that are on. */
  tell(left: FaultsLeft): void;
  /** Called when a fault has begun or ended. */
  mark(kind: 'fault_begin' | 'fault_end', name: FaultName): void;
  readonly log: Logger;
}

interface Running {
  readonly endsAt: number;
  readonly timer: NodeJS.Timeout;
  readonly stop: () => Promise<void>;
}

/** The switches of all faults. They end with {@link Faults.stop}, and with this process. */
export function createFaults({ actors, tell, mark, log }: FaultsOptions): Faults {
  const running = new Map<FaultName, Running>();
  /** A fault begins and ends whole: two requests at once have one after the other. */
  const turns = new Mutex();

  function tellWorkers(): void {
    const now = Date.now();
    tell(Object.fromEntries(Array.from(running, ([name, { endsAt }]) => [name, Math.max(0, endsAt - now)])));
  }

  function begin(name: FaultName, seconds: number): Promise<void> {
    return turns.runExclusive(async () => {
      const before = running.get(name);
      const stop = before?.stop ?? (await actors[name]?.begin()) ?? (async () => {});
      clearTimeout(before?.timer);
      const timer: NodeJS.Timeout = setTimeout(() => void end(name, timer).catch(failed), seconds * SECOND_MS);
      running.set(name, { endsAt: Date.now() + seconds * SECOND_MS, timer, stop });
      tellWorkers();
      log.warn({ fault: name, seconds }, 'a rehearsed fault is on');
      if (!before) mark('fault_begin', name);
    });
  }

  /** @param timer whose time is up; it does nothing to a fault that was begun again since */
  function end(name: FaultName, timer?: NodeJS.Timeout): Promise<void> {
    return turns.runExclusive(async () => {
      const fault = running.get(name);
      if (!fault || (timer !== undefined && fault.timer !== timer)) return;
      clearTimeout(fault.timer);
      running.delete(name);
      tellWorkers();
      await fault.stop();
      log.warn({ fault: name }, 'a rehearsed fault is off');
      mark('fault_end', name);
    });
  }

  function failed(error: unknown): void {
    log.error({ err: error }, 'a rehearsed fault did not end as it should');
  }

  return {
    list() {
      const now = Date.now();
      return FAULT_NAMES.map((name) => {
        const endsAt = running.get(name)?.endsAt;
        return endsAt === undefined
          ? { name, on: false, endsAt: null, secondsLeft: null }
          : {
              name,
              on: true,
              endsAt: new Date(endsAt).toISOString(),
              secondsLeft: Math.min(MOST_SECONDS, Math.max(0, Math.ceil((endsAt - now) / SECOND_MS))),
            };
      });
    },
    active: () => Array.from(running, ([name, { endsAt }]) => ({ name, endsAt })),
    begin,
    end: (name) => end(name),
    tellWorkers,
    async stop() {
      for (const name of FAULT_NAMES) await end(name).catch(failed);
    },
  };
}
