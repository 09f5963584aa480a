import cluster, { type Worker } from 'node:cluster';
import type { Duplex } from 'node:stream';
import { createInquiries, type Inquiries } from '../debug/inquiries.ts';
import { type Answer, PIPE, type Question } from '../debug/questions.ts';
import type { FaultsLeft } from '../faults/names.ts';
import type { RestartReason } from '../instrument/label-values.ts';
import type { WorkerState } from '../instrument/primary-metrics.ts';
import type { Logger } from '../log.ts';
import { deferred } from '../promises.ts';
import type { PrimaryMessage, WorkerMessage } from './messages.ts';

export interface WorkerProcessOptions {
  environment: NodeJS.ProcessEnv;
  log: Logger;
  /** Called when it listens and takes requests. */
  onServing(port: number): void;
  /** Called once, when it has ended. */
  onExit(end: { code: number | null; signal: string | null }): void;
}

/**
 * Flags of Node.js for a worker: up to 12 MB for new objects instead of 48 MB (three semi-spaces of 4 and of 16 MB).
 * Most are garbage when a page is sent. A worker then needs 20 MB less.
 */
export const WORKER_EXEC_ARGV: readonly string[] = ['--max-semi-space-size=4'];

/** The primary's flags and {@link WORKER_EXEC_ARGV}, unless the operator has chosen that size: the last flag wins. */
export function workerExecArgv(execArgv: readonly string[], nodeOptions = ''): string[] {
  // V8 takes underscores for hyphens too.
  const isChosen = /--max[-_]semi[-_]space[-_]size/.test([...execArgv, nodeOptions].join(' '));
  return isChosen ? [...execArgv] : [...execArgv, ...WORKER_EXEC_ARGV];
}

/** Standard input, output and error as the primary's; the channel of Node.js; the pipe for questions about the worker. */
export const WORKER_STDIO = ['inherit', 'inherit', 'inherit', 'ipc', 'pipe'] as const;

const START_TICKS = 60;
/** The stack of a worker that hangs is worth so much more waiting. */
const HANG_STACK_MS = 1000;

/** One process of the cluster, from its fork to its end. */
export class WorkerProcess {
  readonly startedAt = new Date();
  /** By the monotonic clock: the wall clock may be set meanwhile. */
  readonly #startedMs = performance.now();
  state: WorkerState = 'starting';
  /** Whether it has ever served. */
  served = false;
  /** Why it could not start, in its own words or the system's. `final`: every other process would fail alike. */
  failure: { readonly reason: string; readonly final: boolean } | null = null;
  /** Null when the system refused to fork. */
  readonly #worker: Worker | null;
  readonly #log: Logger;
  readonly #inquiries: Inquiries;
  readonly #up = deferred<boolean>();
  readonly #gone = deferred();
  /** Why the primary makes it end; null while it ends by itself only. */
  #wanted: RestartReason | null = null;
  #silentTicks = 0;
  /** The last message that was sent to it. */
  #sent: PrimaryMessage | null = null;

  constructor({ environment, log, onServing, onExit }: WorkerProcessOptions) {
    this.#log = log;

    const ended = (code: number | null, signal: string | null): void => {
      // A worker that could not be forked may report its error again at the next message.
      if (this.state === 'down') return;
      this.state = 'down';
      onExit({ code, signal });
      this.#up.resolve(false);
      this.#gone.resolve();
    };
    const refused = (error: Error): void => {
      this.failure = { reason: error.message, final: false };
      log.error({ err: error }, 'could not fork a worker');
      ended(null, null);
    };

    this.#worker = fork(environment, refused);
    // The types know the first five only as streams of one direction.
    this.#inquiries = createInquiries((this.#worker?.process.stdio?.[PIPE] as Duplex | null | undefined) ?? null);
    this.#worker?.on('message', (message: WorkerMessage) => {
      this.#silentTicks = 0;
      if (message.type === 'serving') {
        this.served = true;
        // A message that came while it loaded its code found no listener there.
        if (this.#sent) this.#send(this.#sent);
        if (this.state === 'starting') this.state = 'serving';
        onServing(message.port);
        this.#up.resolve(true);
      } else if (message.type === 'draining') {
        this.state = 'draining';
      } else if (message.type === 'failed') {
        this.failure = message;
      }
    });
    // Without a listener, a message that can't be sent to a dying worker would end the primary.
    this.#worker?.on('error', (error) => {
      if (this.pid === null) refused(error);
      else log.warn({ workerPid: this.pid, err: error }, 'worker could not be reached');
    });
    this.#worker?.once('exit', ended);
  }

  /** Resolves when it serves, or with false when it ends before. */
  get comesUp(): Promise<boolean> {
    return this.#up.promise;
  }

  /** Resolves when it has ended. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  get pid(): number | null {
    return this.#worker?.process.pid ?? null;
  }

  /** Milliseconds since its fork. */
  get ageMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Why it ended: the reason of the primary, or else of its exit code and signal. */
  reasonFor(code: number | null, signal: string | null): RestartReason {
    return this.#wanted ?? exitReason(code, signal, this.served);
  }

  /** Makes it say that it is not ready, so that balancers choose others; it serves on. */
  unready(): void {
    this.state = 'draining';
    this.#send({ type: 'unready' });
  }

  /**
   * Makes it finish its requests and exit; kills it at the deadline.
   *
   * @param reason under which its replacement counts
   */
  drain(deadlineMs: number, reason: RestartReason): void {
    this.#wanted = reason;
    this.state = 'draining';
    this.#send({ type: 'drain' });
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
   * Counts ticks without a message, and kills it when they are too many. Ticks instead of time: after a pause of the
   * primary itself, such as on a suspended laptop, no worker looks hung.
   *
   * @param maxSilentTicks once it has served; before, it may be busy loading its code
   */
  tick(maxSilentTicks: number): void {
    this.#silentTicks += 1;
    const allowed = this.served ? maxSilentTicks : Math.max(maxSilentTicks, START_TICKS);
    if (this.#silentTicks <= allowed || this.#wanted === 'hang') return;
    this.#wanted = 'hang';
    void this.#killHanging(this.#silentTicks);
  }

  /** Tells it which rehearsed faults are on. */
  rehearse(left: FaultsLeft): void {
    if (this.#worker?.isConnected()) this.#worker.send({ type: 'faults', left } satisfies PrimaryMessage);
  }

  /** Asks about its main thread. Never throws. */
  ask(question: Question): Promise<Answer> {
    return this.#inquiries.ask(question);
  }

  async #killHanging(silentTicks: number): Promise<void> {
    const answer = await this.ask({ what: 'stack', deadlineMs: HANG_STACK_MS });
    const mainThread = answer.ok ? answer.text : answer.reason;
    this.#log.error({ workerPid: this.pid, silentTicks, mainThread }, 'worker hangs and is killed');
    this.kill();
  }

  #send(message: PrimaryMessage): void {
    this.#sent = message;
    if (this.#worker?.isConnected()) this.#worker.send(message);
  }
}

/**
 * Forks. Without descriptors or processes, Node.js emits `error` and never `exit`; without memory it throws
 * (node/lib/internal/child_process.js, `spawn`).
 *
 * @param refused called with the thrown error, in a later turn
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
