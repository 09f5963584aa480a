import cluster, { type Worker } from 'node:cluster';
import type { RestartReason, WorkerState } from '../instrument/primary-metrics.ts';
import type { Logger } from '../log.ts';
import type { PrimaryMessage, WorkerMessage } from './messages.ts';

export interface WorkerProcessOptions {
  environment: NodeJS.ProcessEnv;
  log: Logger;
  /** It listens and takes requests. */
  onServing(port: number): void;
  /** It is gone; called once. */
  onExit(end: { code: number | null; signal: string | null }): void;
}

const START_TICKS = 60;

/** One process of the cluster, from its fork to its end. */
export class WorkerProcess {
  readonly startedAt = new Date();
  /** The wall clock may be set meanwhile. */
  readonly #startedMs = performance.now();
  state: WorkerState = 'starting';
  /** What it said when it failed to start. */
  failure: string | null = null;
  /** Whether another process would fail alike. */
  failedForGood = false;
  /** Whether it has ever served. */
  served = false;
  /** Resolves when it serves, or with false when it ends before. */
  readonly comesUp: Promise<boolean>;
  /** Resolves when it has ended. */
  readonly gone: Promise<void>;
  /** Null when the system refused to make a process at all. */
  readonly #worker: Worker | null;
  readonly #log: Logger;
  #wanted: RestartReason | null = null;
  #silentTicks = 0;
  /** The last thing that it was told. */
  #told: PrimaryMessage | null = null;

  constructor({ environment, log, onServing, onExit }: WorkerProcessOptions) {
    this.#log = log;
    let settle: (up: boolean) => void = () => {};
    this.comesUp = new Promise((resolve) => {
      settle = resolve;
    });
    let leave: () => void = () => {};
    this.gone = new Promise((resolve) => {
      leave = resolve;
    });

    const ended = (code: number | null, signal: string | null): void => {
      // A worker that was refused may say so again, when it is told something.
      if (this.state === 'down') return;
      this.state = 'down';
      onExit({ code, signal });
      settle(false);
      leave();
    };
    const refused = (error: Error): void => {
      this.failure = error.message;
      log.error({ err: error }, 'the system makes no process for a worker');
      ended(null, null);
    };

    this.#worker = fork(environment, refused);
    this.#worker?.on('message', (message: WorkerMessage) => {
      this.#silentTicks = 0;
      if (message.type === 'serving') {
        this.served = true;
        // What it was told while it loaded its code went by before anybody there listened.
        if (this.#told) this.#tell(this.#told);
        if (this.state === 'starting') this.state = 'serving';
        onServing(message.port);
        settle(true);
      } else if (message.type === 'draining') {
        this.state = 'draining';
      } else if (message.type === 'failed') {
        this.failure = message.reason;
        this.failedForGood = message.final;
      }
    });
    // Without a listener, a message that can't be sent to a dying worker would end the primary.
    this.#worker?.on('error', (error) => {
      if (this.pid === null) refused(error);
      else log.warn({ workerPid: this.pid, err: error }, 'worker could not be reached');
    });
    this.#worker?.once('exit', ended);
  }

  get pid(): number | null {
    return this.#worker?.process.pid ?? null;
  }

  /** Milliseconds since its fork. */
  get ageMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Why it ended: what was asked of it, or else what `exitReason` reads off its end. */
  reasonFor(code: number | null, signal: string | null): RestartReason {
    return this.#wanted ?? exitReason(code, signal, this.served);
  }

  /** Takes it out of the balancers' choice while it serves on. */
  unready(): void {
    this.state = 'draining';
    this.#tell({ type: 'unready' });
  }

  /**
   * Tells it to finish what it has and exit; kills it at the deadline.
   *
   * @param reason under which its replacement counts
   */
  drain(deadlineMs: number, reason: RestartReason): void {
    this.#wanted = reason;
    this.state = 'draining';
    this.#tell({ type: 'drain' });
    const deadline = setTimeout(() => {
      this.#log.warn({ workerPid: this.pid }, 'worker did not drain in time and is killed');
      this.kill();
    }, deadlineMs);
    void this.gone.then(() => clearTimeout(deadline));
  }

  kill(): void {
    this.#worker?.process.kill('SIGKILL');
  }

  /**
   * Counts the ticks in which nothing was heard. Ticks instead of time: after a pause of the primary itself, a
   * suspended laptop for one, no worker looks hung.
   *
   * @param maxSilentTicks once it has served; before, it may be loading its code for a while
   */
  tick(maxSilentTicks: number): void {
    this.#silentTicks += 1;
    const allowed = this.served ? maxSilentTicks : Math.max(maxSilentTicks, START_TICKS);
    if (this.#silentTicks <= allowed || this.#wanted === 'hang') return;
    this.#wanted = 'hang';
    this.#log.error({ workerPid: this.pid, silentTicks: this.#silentTicks }, 'worker hangs and is killed');
    this.kill();
  }

  #tell(message: PrimaryMessage): void {
    this.#told = message;
    if (this.#worker?.isConnected()) this.#worker.send(message);
  }
}

/**
 * Forks. For want of descriptors or processes, Node.js emits `error` and never `exit`; for want of memory it throws
 * (node/lib/internal/child_process.js, `spawn`).
 *
 * @param refused told of what was thrown, when the caller is done
 */
function fork(environment: NodeJS.ProcessEnv, refused: (error: Error) => void): Worker | null {
  try {
    return cluster.fork(environment);
  } catch (error) {
    setImmediate(refused, error as Error);
    return null;
  }
}

/**
 * Why a worker ended, when the primary had not told it to.
 *
 * @param code exit code, or null when a signal ended the process
 * @param signal name of that signal
 * @param served whether the worker had ever served
 */
function exitReason(code: number | null, signal: string | null, served: boolean): RestartReason {
  // V8 aborts when its heap is full. So do Node.js' own assertions, which hardly ever fail.
  if (signal === 'SIGABRT' || signal === 'SIGTRAP') return 'out_of_memory';
  if (signal) return 'signal';
  if (!served) return 'failed_start';
  return code === 0 ? 'exit' : 'exception';
}

/** Whether a worker ended by a fault: neither replaced in a reload, nor told to finish by an operator's SIGTERM. */
export function isCrash(reason: RestartReason): boolean {
  return reason !== 'reload' && reason !== 'exit';
}
