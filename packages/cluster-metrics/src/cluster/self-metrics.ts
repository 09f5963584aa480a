import { Counter } from '../instruments/counter.ts';
import { Gauge } from '../instruments/gauge.ts';
import { Histogram } from '../instruments/histogram.ts';
import { WorkerRegistry } from '../prom-client/worker-registry.ts';
import { PROBLEM_KINDS, type ProblemKind } from '../store/problems.ts';
import type { LiveWorker } from './cluster-stores.ts';

const SCRAPE_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

const HANDLER_ERROR_CAUSES = ['gathering', 'compression'] as const;
/** The step at which the handler of `/metrics` failed. */
export type HandlerErrorCause = (typeof HANDLER_ERROR_CAUSES)[number];

/** What the cluster registry tells about itself. */
export class SelfMetrics {
  readonly registry = new WorkerRegistry();
  readonly scrapeDuration: Histogram;
  readonly #series: Gauge;
  readonly #workerAge: Gauge<'worker'>;
  readonly #problems: Counter<'kind'>;
  readonly #handlerErrors: Counter<'cause'>;

  /** @param prefix begins the names */
  constructor(prefix: string) {
    const registers = [this.registry];
    this.scrapeDuration = new Histogram({
      name: `${prefix}scrape_duration_seconds`,
      help: 'Seconds that the event loop of the primary was busy with reading, merging and printing; scrapes of one form that come together share them',
      buckets: SCRAPE_BUCKETS_SECONDS,
      registers,
    });
    this.#series = new Gauge({ name: `${prefix}series`, help: 'Samples that a scrape shows', registers });
    this.#workerAge = new Gauge({
      name: `${prefix}worker_age_seconds`,
      help: 'Seconds since a worker last came round its event loop; beyond 2 it hangs, and its last values are shown',
      labelNames: ['worker'],
      registers,
    });
    this.#problems = new Counter({
      name: `${prefix}store_problems_total`,
      help: 'Problems with store files, each file once per kind; of kind conflict, each metric whose shape differs between processes',
      labelNames: ['kind'],
      registers,
    });
    for (const kind of PROBLEM_KINDS) this.#problems.zero({ kind });
    this.#handlerErrors = new Counter({
      name: `${prefix}handler_errors_total`,
      help: 'Requests for the metrics that were answered with status 500, by the step that failed: gathering, compression',
      labelNames: ['cause'],
      registers,
    });
    for (const cause of HANDLER_ERROR_CAUSES) this.#handlerErrors.zero({ cause });
  }

  setSeries(samples: number): void {
    this.#series.set(samples);
  }

  setWorkers(workers: readonly LiveWorker[]): void {
    this.#workerAge.reset();
    // Two lives of one place, while one replaces the other: the younger value tells.
    const ages = new Map<string, number>();
    for (const { worker, ageSeconds } of workers)
      ages.set(worker, Math.min(ageSeconds, ages.get(worker) ?? ageSeconds));
    for (const [worker, age] of ages) this.#workerAge.set({ worker }, age);
  }

  countProblem(kind: ProblemKind): void {
    this.#problems.inc({ kind });
  }

  countHandlerError(cause: HandlerErrorCause): void {
    this.#handlerErrors.inc({ cause });
  }
}
