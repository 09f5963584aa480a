import type { Answer, Question } from '../debug/questions.ts';
import type { FaultsLeft } from '../faults/names.ts';
import type { RestartReason } from '../instrument/label-values.ts';
import type { Logger } from '../log.ts';
import type { WorkerStatus } from '../ops/status.ts';
import { deferred } from '../promises.ts';
import { StartError } from '../start-error.ts';
import { isCrash, WorkerProcess } from './worker-process.ts';

/** A worker that dies before this age, or before it has served, died young: its successors wait longer each time. */
const YOUNG_MS = 10_000;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** After so many young deaths in a row the start no longer waits for a place, though it is filled again and again. */
const HOPELESS_DEATHS = 3;
const TICK_MS = 1000;

/** A place of the cluster, which one worker after the other holds. */
export interface Place {
  readonly number: number;
  current: WorkerProcess | null;
  restarts: number;
  /** In a row. */
  youngDeaths: number;
  refill: NodeJS.Timeout | null;
}

/** Empty places, for a supervisor to fill. */
export function createPlaces(count: number): Place[] {
  return Array.from({ length: count }, (_, index) => {
    return { number: index + 1, current: null, restarts: 0, youngDeaths: 0, refill: null };
  });
}

export function statusOf(places: readonly Place[]): WorkerStatus[] {
  return places.map(({ number, current, restarts }) => ({
    worker: number,
    pid: current?.pid ?? null,
    state: current?.state ?? 'down',
    startedAt: current?.startedAt.toISOString() ?? null,
    restarts,
  }));
}

export interface SupervisorOptions {
  /** A worker hangs when it has been silent for this long; it says something every second. */
  hangSeconds: number;
  /** A worker that is told to go has this long, in milliseconds. */
  drainDeadlineMs: number;
  log: Logger;
  /** Environment of the worker that takes a place. */
  environment(place: number): NodeJS.ProcessEnv;
  /** Called when a worker takes requests. */
  onServing(): void;
  /** Called once for each worker that held a place, has ended and will be replaced; not during shutdown. */
  onRestart(reason: RestartReason, place: number): void;
  /** Called when a worker has ended by a fault, also one that never came to hold a place; not during shutdown. */
  onCrash(): void;
  /** Called when a worker has ended, in any way. */
  onEnd(pid: number): void;
}

export interface Supervisor {
  /** That the workers listen on; null until the first one serves. */
  readonly port: number | null;
  /**
   * Fills every place. Resolves when all workers serve, or when each remaining place has failed three times: the log
   * then says which, and they are still tried.
   *
   * @returns the port that the workers listen on
   * @throws Error when no worker has ever served, with the reason that the last one gave
   */
  start(): Promise<number>;
  /**
   * Replaces the workers one after the other: each goes when its successor serves, and the next place follows when it
   * has gone, so that there is never more than one worker too many. A call during a reload joins it.
   *
   * @throws Error when a successor does not come up; the workers that serve go on
   */
  reload(): Promise<void>;
  /** Makes every worker say that it is not ready. All serve on, and a worker that dies is still replaced. */
  unready(): void;
  /** Tells every worker which rehearsed faults are on. */
  rehearse(left: FaultsLeft): void;
  /** Asks the worker in a place about its main thread. */
  ask(place: number, question: Question): Promise<Answer>;
  /** Drains all workers; kills the rest at the deadline. */
  stop(): Promise<void>;
  /** Kills all workers at once. */
  kill(): void;
}

/** Keeps a worker alive in each place: one that dies is replaced. */
export function createSupervisor(places: readonly Place[], options: SupervisorOptions): Supervisor {
  const { log, drainDeadlineMs } = options;
  /** Also workers that were replaced and still drain. */
  const alive = new Set<WorkerProcess>();
  /** Workers that hold a place or held one. A successor that ends before it takes over leaves nothing to restart. */
  const holders = new WeakSet<WorkerProcess>();
  /** `leaving`: workers are not ready, and still replaced. `stopping`: they are not replaced any more. */
  let phase: 'starting' | 'started' | 'leaving' | 'stopping' = 'starting';
  const started = deferred<number>();
  /** Of the shop; null until the first worker serves. */
  let port: number | null = null;
  let reloading: Promise<void> | null = null;

  function fork(place: Place): WorkerProcess {
    const process = new WorkerProcess({
      environment: options.environment(place.number),
      log,
      onServing(itsPort) {
        port = itsPort;
        log.info({ place: place.number, workerPid: process.pid }, 'worker serves');
        options.onServing();
        settleStart();
      },
      onExit({ code, signal }) {
        alive.delete(process);
        if (process.pid !== null) options.onEnd(process.pid);
        if (phase !== 'stopping') noteDeath(place, process, { code, signal });
        if (place.current === process) emptied(place, process);
      },
    });
    alive.add(process);
    if (phase === 'leaving') process.unready();
    return process;
  }

  function noteDeath(place: Place, dead: WorkerProcess, end: { code: number | null; signal: string | null }): void {
    const reason = dead.reasonFor(end.code, end.signal);
    if (holders.has(dead)) {
      place.restarts += 1;
      options.onRestart(reason, place.number);
    }
    if (isCrash(reason)) options.onCrash();
    if (reason === 'reload') return;
    // Every worker would fail alike: the start ends with this failure, and says why.
    if (dead.failure?.final && port === null) return;
    const seen = { place: place.number, workerPid: dead.pid, ...end, reason, failure: dead.failure?.reason };
    if (isCrash(reason)) log.error(seen, 'worker died');
    else log.warn(seen, 'worker exited by itself, without a fault');
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
    if (phase === 'stopping') return;
    const young = !dead.served || dead.ageMs < YOUNG_MS;
    place.youngDeaths = young ? place.youngDeaths + 1 : 0;
    place.refill = setTimeout(fill, refillDelay(place.youngDeaths), place);
    settleStart(dead);
  }

  /** Ends the start when no further place will be filled soon. @param dead the last worker that ended */
  function settleStart(dead?: WorkerProcess): void {
    if (phase !== 'starting') return;
    const missing = places.filter(({ current }) => current?.state !== 'serving');
    const isHopeless = port === null && dead?.failure?.final;
    if (!isHopeless && missing.some(({ youngDeaths }) => youngDeaths < HOPELESS_DEATHS)) return;
    phase = 'started';
    if (port === null) {
      const reason = dead?.failure?.reason ?? 'its worker processes end before they serve; the lines above say why';
      started.reject(new StartError(isHopeless ? reason : `The shop can't start: ${reason}`));
      return;
    }
    if (missing.length > 0) {
      log.warn(
        { places: missing.map(({ number }) => number) },
        'no worker serves in these places; they are still tried',
      );
    }
    started.resolve(port);
  }

  async function reloadPlaces(): Promise<void> {
    for (const place of places) await replace(place);
  }

  async function replace(place: Place): Promise<void> {
    const former = place.current;
    // An empty place is being filled with a new process anyway.
    if (!former || phase === 'leaving' || phase === 'stopping') return;
    const successor = fork(place);
    if (!(await successor.comesUp))
      throw new Error(`The new worker of place ${place.number} did not come up: the old ones serve on`);
    // If the former died meanwhile and the place was filled again, one of the two is enough.
    const redundant = place.current && place.current !== former ? successor : former;
    if (redundant === former) hold(place, successor);
    if (redundant.state !== 'down') redundant.drain(drainDeadlineMs, 'reload');
    await redundant.gone;
  }

  const ticking = setInterval(() => {
    for (const process of alive) process.tick(options.hangSeconds);
  }, TICK_MS);

  return {
    get port() {
      return port;
    },
    start() {
      for (const place of places) fill(place);
      return started.promise;
    },
    reload() {
      reloading ??= reloadPlaces().finally(() => {
        reloading = null;
      });
      return reloading;
    },
    unready() {
      if (phase === 'stopping') return;
      phase = 'leaving';
      for (const process of alive) process.unready();
    },
    rehearse(left) {
      for (const process of alive) process.rehearse(left);
    },
    async ask(number, question) {
      const process = places.find((place) => place.number === number)?.current;
      return process ? process.ask(question) : NO_PROCESS;
    },
    async stop() {
      phase = 'stopping';
      clearInterval(ticking);
      for (const { refill } of places) if (refill) clearTimeout(refill);
      const draining = [...alive];
      for (const process of draining) process.drain(drainDeadlineMs, 'exit');
      await Promise.all(draining.map(({ gone }) => gone));
    },
    kill() {
      for (const process of alive) process.kill();
    },
  };
}

const NO_PROCESS: Answer = { ok: false, why: 'gone', reason: 'it has no process now' };

/** The first death is followed at once; each further young one doubles the wait. */
function refillDelay(youngDeaths: number): number {
  return youngDeaths <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (youngDeaths - 2), LONGEST_DELAY_MS);
}
