import { Counter } from '../instruments/counter.ts';
import { Gauge } from '../instruments/gauge.ts';
import { Histogram } from '../instruments/histogram.ts';
import { WorkerRegistry } from '../prom-client/worker-registry.ts';
import { PROBLEM_KINDS, type ProblemKind } from '../store/problems.ts';
import type { ClusterStores } from './cluster-stores.ts';
import { expose, type TextForm, type View } from './exposition.ts';
import { readNativeHistograms } from './native-histograms.ts';
import { exposeProtobuf } from './protobuf.ts';
import type { SampleReader } from './samples.ts';
import {
  HANDLER_ERROR_CAUSES,
  type HandlerErrorCause,
  type LiveWorker,
  type NativeHistogram,
  type Sample,
} from './types.ts';

/** A form of the page. */
export type Form = TextForm | 'protobuf';

/** No living worker has this place. */
export class UnknownWorkerError extends RangeError {}

/** One gathering of all stores, shared by the scrapes of one turn of the event loop. */
export class Scrape {
  readonly #view: View;
  readonly #stores: ClusterStores;
  readonly #self: SelfMetrics;
  /** Duration of the gathering, until it is observed together with the first text. */
  #gatherMs: number;
  readonly #texts = new Map<string, string>();
  readonly #bytes = new Map<string, Buffer>();

  /** @param gather reads and merges all stores; called at once */
  constructor(gather: () => View, stores: ClusterStores, self: SelfMetrics) {
    const startedAt = performance.now();
    this.#view = gather();
    this.#gatherMs = performance.now() - startedAt;
    this.#stores = stores;
    this.#self = self;
  }

  /**
   * @param worker shows the living process at this place alone; undefined shows everything
   * @throws {UnknownWorkerError}
   */
  text(form: TextForm, worker?: string): string {
    const key = keyOf(form, worker);
    const text = this.#texts.get(key) ?? this.#print(worker, (view) => expose(view, form));
    this.#texts.set(key, text);
    return text;
  }

  /**
   * The page in bytes, a text in UTF-8. Every call gets the same buffer, so that it can be compressed once for all.
   *
   * @param worker as for `text`
   * @throws {UnknownWorkerError}
   */
  bytes(form: Form, worker?: string): Buffer {
    const key = keyOf(form, worker);
    const bytes =
      this.#bytes.get(key) ??
      (form === 'protobuf' ? this.#print(worker, exposeProtobuf) : Buffer.from(this.text(form, worker)));
    this.#bytes.set(key, bytes);
    return bytes;
  }

  /**
   * @param metrics names of the metrics to read; undefined reads all
   * @param worker as for `text`
   * @throws {UnknownWorkerError}
   */
  samples(reader: SampleReader, metrics?: ReadonlySet<string>, worker?: string): Sample[] {
    return reader.read(this.#viewOf(worker), metrics);
  }

  /**
   * @param names of the native histograms to read; undefined reads all
   * @param worker as for `text`
   * @throws {UnknownWorkerError}
   */
  nativeHistograms(names?: ReadonlySet<string>, worker?: string): NativeHistogram[] {
    return readNativeHistograms(this.#viewOf(worker), names);
  }

  /** Observes the duration; the next scrape shows it. */
  #print<T>(worker: string | undefined, print: (view: View) => T): T {
    const startedAt = performance.now();
    const page = print(this.#viewOf(worker));
    this.#self.scrapeDuration.observe((this.#gatherMs + performance.now() - startedAt) / 1000);
    this.#gatherMs = 0;
    return page;
  }

  #viewOf(worker: string | undefined): View {
    const view = worker === undefined ? this.#view : this.#stores.alone(worker);
    if (view === null) throw new UnknownWorkerError(`There is no worker ${worker}`);
    return view;
  }
}

function keyOf(form: Form, worker = ''): string {
  return `${form} ${worker}`;
}

const SCRAPE_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/** The metrics of the cluster registry about itself. */
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
      native: true,
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
    // While one process replaces another, both have the same place: show the younger value.
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
