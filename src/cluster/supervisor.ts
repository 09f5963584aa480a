import type { WorkerState } from '../instrument/primary.ts';
import type { Logger } from '../log.ts';
import type { RestartReason } from './exit-reason.ts';
import { WorkerProcess } from './worker-process.ts';

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
  environment(place: number, restarts: number): NodeJS.ProcessEnv;
  /** A worker is gone; called once for each. `reason` is null when the whole shop stops. */
  onExit(reason: RestartReason | null): void;
}

export interface Supervisor {
  /**
   * Fills every place and waits until all serve.
   *
   * @returns the port that the workers listen on
   * @throws Error when no worker has ever come up, with the reason that the last one gave
   */
  start(): Promise<number>;
  status(): WorkerStatus[];
  /**
   * Replaces the workers one after the other: each goes when its successor serves. A call during a reload joins it.
   *
   * @throws Error when a successor does not come up; the workers that serve go on
   */
  reload(): Promise<void>;
  /** Makes every worker say that it is not ready; all serve on. */
  unready(): void;
  /** Drains all workers; kills those that are not done at the deadline. */
  stop(): Promise<void>;
  /** Kills all workers at once. */
  kill(): void;
}

/** A worker that dies before this age died young: its successors wait longer each time. */
const YOUNG_MS = 10_000;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** So many deaths in a row at one place while no worker has ever served, and the start has failed. */
const HOPELESS_DEATHS = 3;
const TICK_MS = 1000;

interface Place {
  readonly number: number;
  current: WorkerProcess | null;
  restarts: number;
  /** Deaths in a row before `YOUNG_MS`. */
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
  let everServed = false;
  let stopping = false;
  let started: { resolve(port: number): void; reject(error: Error): void } | null = null;
  let stopped: (() => void) | null = null;
  let reloading: Promise<void> | null = null;

  /** @param served told whether it came up */
  function fork(place: Place, served: (port: number | null) => void): WorkerProcess {
    const process = new WorkerProcess({
      environment: options.environment(place.number, place.restarts),
      log,
      onServing(port) {
        everServed = true;
        log.info({ place: place.number, workerPid: process.pid }, 'worker serves');
        served(port);
      },
      onExit({ code, signal }) {
        alive.delete(process);
        served(null);
        const reason = stopping ? null : process.reasonFor(code, signal);
        if (reason !== null) place.restarts += 1;
        options.onExit(reason);
        if (reason !== null && reason !== 'reload')
          log.error({ place: place.number, code, signal, reason }, 'worker died');
        if (place.current === process) emptied(place, process);
        if (alive.size === 0) stopped?.();
      },
    });
    alive.add(process);
    return process;
  }

  function fill(place: Place): void {
    place.refill = null;
    place.current = fork(place, (port) => {
      if (port !== null && places.every(({ current }) => current?.state === 'serving')) started?.resolve(port);
    });
  }

  /** Its worker died: fills the place again, sooner or later. */
  function emptied(place: Place, dead: WorkerProcess): void {
    place.current = null;
    if (stopping) return;
    const young = Date.now() - dead.startedAt.getTime() < YOUNG_MS;
    place.youngDeaths = young ? place.youngDeaths + 1 : 0;
    if (!everServed && place.youngDeaths >= HOPELESS_DEATHS) {
      const reason = dead.failure ?? 'its worker processes end before they serve; the lines above say why';
      started?.reject(new Error(`The shop can't start: ${reason}`));
      return;
    }
    place.refill = setTimeout(fill, refillDelay(place.youngDeaths), place);
  }

  function takePlace(place: Place, successor: WorkerProcess): void {
    if (place.refill) clearTimeout(place.refill);
    place.refill = null;
    place.current = successor;
  }

  async function reloadPlaces(): Promise<void> {
    for (const place of places) await replace(place);
  }

  async function replace(place: Place): Promise<void> {
    const former = place.current;
    // An empty place is being filled with a new process anyway.
    if (!former || stopping) return;
    const served = await new Promise<boolean>((resolve) => {
      const successor = fork(place, (port) => {
        if (port === null) return resolve(false);
        // The former died meanwhile and the place is filled: one of the two is enough.
        if (place.current && place.current !== former) successor.drain(drainDeadlineMs, 'reload');
        else takePlace(place, successor);
        resolve(true);
      });
    });
    if (!served) throw new Error(`The new worker of place ${place.number} did not come up: the old ones serve on`);
    if (former.state !== 'down') former.drain(drainDeadlineMs, 'reload');
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
      stopping = true;
      for (const process of alive) process.unready();
    },
    async stop() {
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
