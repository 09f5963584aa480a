import type { RestartReason, WorkerState } from '../instrument/primary-metrics.ts';
import type { Logger } from '../log.ts';
import { StartError } from '../start-error.ts';
import { isCrash, WorkerProcess } from './worker-process.ts';

/** One place of the cluster, as `/status` shows it. */
export interface WorkerStatus {
  /** Place number, 1 to `WORKERS`. */
  worker: number;
  pid: number | null;
  state: WorkerState;
  /** ISO 8601, of the process that holds the place now. */
  startedAt: string | null;
  /** How many processes held this place before. */
  restarts: number;
}

export interface SupervisorOptions {
  /** Places to fill. */
  workers: number;
  /** A worker that has not been heard of for so long hangs; it says something every second. */
  hangSeconds: number;
  /** A worker that is told to go has this long, in milliseconds. */
  drainDeadlineMs: number;
  log: Logger;
  /** Environment of the worker that takes a place. */
  environment(place: number): NodeJS.ProcessEnv;
  /** A worker that held a place has ended and is replaced; called once for each, and no more when the shop stops. */
  onRestart(reason: RestartReason): void;
  /** A worker ended by a fault, also one that was to replace another and never did; not called when the shop stops. */
  onCrash(): void;
  /** A worker has ended, in any way. */
  onEnd(pid: number): void;
}

export interface Supervisor {
  /**
   * Fills every place and waits until all serve, or until those that do are all that will come up for now: the log says
   * then which places are missing, and they are tried on.
   *
   * @returns the port that the workers listen on
   * @throws Error when no worker has ever come up, with the reason that the last one gave
   */
  start(): Promise<number>;
  status(): WorkerStatus[];
  /**
   * Replaces the workers one after the other: each goes when its successor serves, and the next place's turn is when it has
   * gone, so that there is never more than one worker too many. A call during a reload joins it.
   *
   * @throws Error when a successor does not come up; the workers that serve go on
   */
  reload(): Promise<void>;
  /** Makes every worker say that it is not ready; all serve on, and whoever dies is replaced still. */
  unready(): void;
  /** Drains all workers; kills those that are not done at the deadline. */
  stop(): Promise<void>;
  /** Kills all workers at once. */
  kill(): void;
}

/** A worker that dies before this age, or before it has served, died young: its successors wait longer each time. */
const YOUNG_MS = 10_000;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** After so many young deaths in a row nobody waits for a place any more, though it is filled again and again. */
const HOPELESS_DEATHS = 3;
const TICK_MS = 1000;

interface Place {
  readonly number: number;
  current: WorkerProcess | null;
  restarts: number;
  /** In a row. */
  youngDeaths: number;
  refill: NodeJS.Timeout | null;
}

/** Keeps `workers` workers alive: whoever dies is replaced in the same place. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { log, drainDeadlineMs } = options;
  const places = Array.from({ length: options.workers }, (_, index): Place => {
    return { number: index + 1, current: null, restarts: 0, youngDeaths: 0, refill: null };
  });
  /** Also those that were replaced and still drain. */
  const alive = new Set<WorkerProcess>();
  /** Those that hold a place or held one. A successor that ends before it takes over leaves nothing to restart. */
  const holders = new WeakSet<WorkerProcess>();
  /** Of the shop; null until the first worker serves. */
  let port: number | null = null;
  let leaving = false;
  let stopping = false;
  let started: { resolve(port: number): void; reject(error: Error): void } | null = null;
  let stopped: (() => void) | null = null;
  let reloading: Promise<void> | null = null;

  function fork(place: Place): WorkerProcess {
    const process = new WorkerProcess({
      environment: options.environment(place.number),
      log,
      onServing(itsPort) {
        port = itsPort;
        log.info({ place: place.number, workerPid: process.pid }, 'worker serves');
        settleStart();
      },
      onExit({ code, signal }) {
        alive.delete(process);
        if (process.pid !== null) options.onEnd(process.pid);
        if (!stopping) noteDeath(place, process, { code, signal });
        if (place.current === process) emptied(place, process);
        if (alive.size === 0) stopped?.();
      },
    });
    alive.add(process);
    if (leaving) process.unready();
    return process;
  }

  function noteDeath(place: Place, dead: WorkerProcess, end: { code: number | null; signal: string | null }): void {
    const reason = dead.reasonFor(end.code, end.signal);
    if (holders.has(dead)) {
      place.restarts += 1;
      options.onRestart(reason);
    }
    if (isCrash(reason)) options.onCrash();
    if (reason === 'reload') return;
    // Every worker would say the same: the start ends with it.
    if (dead.failedForGood && port === null) return;
    const failure = dead.failure ?? undefined;
    const seen = { place: place.number, workerPid: dead.pid, ...end, reason, failure };
    if (isCrash(reason)) log.error(seen, 'worker died');
    else log.warn(seen, 'worker ended in order, though not told to by the primary');
  }

  function fill(place: Place): void {
    hold(place, fork(place));
  }

  function hold(place: Place, process: WorkerProcess): void {
    if (place.refill) clearTimeout(place.refill);
    place.refill = null;
    place.current = process;
    holders.add(process);
  }

  /** Its worker died: fills the place again, sooner or later. */
  function emptied(place: Place, dead: WorkerProcess): void {
    place.current = null;
    if (stopping) return;
    const young = !dead.served || dead.ageMs < YOUNG_MS;
    place.youngDeaths = young ? place.youngDeaths + 1 : 0;
    place.refill = setTimeout(fill, refillDelay(place.youngDeaths), place);
    settleStart(dead);
  }

  /** Ends the start when nothing more is to be expected of it. @param dead the last worker that ended */
  function settleStart(dead?: WorkerProcess): void {
    if (started && port === null && dead?.failure && dead.failedForGood) {
      started.reject(new StartError(dead.failure));
      started = null;
    }
    const missing = places.filter(({ current }) => current?.state !== 'serving');
    if (!started || missing.some(({ youngDeaths }) => youngDeaths < HOPELESS_DEATHS)) return;
    if (port === null) {
      const reason = dead?.failure ?? 'its worker processes end before they serve; the lines above say why';
      started.reject(new StartError(`The shop can't start: ${reason}`));
    } else {
      if (missing.length > 0)
        log.warn(
          { places: missing.map(({ number }) => number) },
          'these places could not be filled; they are tried on',
        );
      started.resolve(port);
    }
    started = null;
  }

  async function reloadPlaces(): Promise<void> {
    for (const place of places) await replace(place);
  }

  async function replace(place: Place): Promise<void> {
    const former = place.current;
    // An empty place is being filled with a new process anyway.
    if (!former || leaving) return;
    const successor = fork(place);
    if (!(await successor.comesUp))
      throw new Error(`The new worker of place ${place.number} did not come up: the old ones serve on`);
    // When the former died meanwhile and the place is filled, one of the two is enough.
    const superfluous = place.current && place.current !== former ? successor : former;
    if (superfluous === former) hold(place, successor);
    if (superfluous.state !== 'down') superfluous.drain(drainDeadlineMs, 'reload');
    await superfluous.gone;
  }

  const ticking = setInterval(() => {
    for (const process of alive) process.tick(options.hangSeconds);
  }, TICK_MS);

  return {
    start() {
      return new Promise((resolve, reject) => {
        started = { resolve, reject };
        for (const place of places) fill(place);
      });
    },
    status() {
      return places.map(({ number, current, restarts }) => ({
        worker: number,
        pid: current?.pid ?? null,
        state: current?.state ?? 'down',
        startedAt: current?.startedAt.toISOString() ?? null,
        restarts,
      }));
    },
    reload() {
      reloading ??= reloadPlaces().finally(() => {
        reloading = null;
      });
      return reloading;
    },
    unready() {
      leaving = true;
      for (const process of alive) process.unready();
    },
    async stop() {
      leaving = true;
      stopping = true;
      clearInterval(ticking);
      for (const { refill } of places) if (refill) clearTimeout(refill);
      if (alive.size === 0) return;
      const allGone = new Promise<void>((resolve) => {
        stopped = resolve;
      });
      for (const process of alive) process.drain(drainDeadlineMs, 'exit');
      await allGone;
    },
    kill() {
      for (const process of alive) process.kill();
    },
  };
}

/** The first death is followed at once; each further young one doubles the wait. */
function refillDelay(youngDeaths: number): number {
  return youngDeaths <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (youngDeaths - 2), LONGEST_DELAY_MS);
}
