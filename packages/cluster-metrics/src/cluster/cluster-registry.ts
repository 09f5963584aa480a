import cluster, { type ClusterSettings, type Worker } from 'node:cluster';
import { dirname, resolve } from 'node:path';
import { inspect } from 'node:util';
import { checkForeign, isInstrument, isWorkerRegistry, type StoreRegistry } from '../instruments/checks.ts';
import {
  type AnyMetric,
  type CopiedRegistry,
  library,
  type PrometheusContentType,
  type RegistryContentType,
} from '../prom-client/library.ts';
import { type Copied, MirroredRegistry } from '../prom-client/mirror.ts';
import { samplingWarnings } from '../prom-client/sampling.ts';
import type { StoreProblem } from '../store/problems.ts';
import type { Store } from '../store/store.ts';
import { ClusterStores } from './cluster-stores.ts';
import { countSamples, type View } from './exposition.ts';
import { SampleReader } from './samples.ts';
import { type Form, Scrape, SelfMetrics } from './scrape.ts';
import type { HandlerErrorCause, LiveWorker, NativeHistogram, Sample } from './types.ts';

export interface ClusterRegistryOptions {
  /** Folder of this instance: `createStoreDirectory(…).path`. */
  directory: string;
  /**
   * Registries of the primary itself, whose metrics are merged with the workers'. A metric that is in several of them is
   * counted once. A registry whose store is a file of `directory` is refused, since that file is read as a worker's.
   */
  registers?: readonly CopiedRegistry[];
  /**
   * What to show of the workers that live when the registry is made. `all` that they have counted since their start, by
   * default; or only what they count `from-now` on, for a metrics process that may be started anew while its workers go
   * on. What dead workers had counted ended with its predecessor, so `all` would go back a little, which Prometheus takes
   * for a reset to 0 and counts the rest twice; `from-now` begins at 0, a true reset.
   */
  shows?: 'all' | 'from-now';
  /** Begins the names of the metrics about the metrics. Default `cluster_metrics_`. */
  prefix?: string;
  /** Called once for each file and kind of problem. Their number is on `/metrics`. */
  onProblem?: (problem: StoreProblem) => void;
}

export interface ScrapeOptions {
  /** `ClusterRegistry.PROMETHEUS_CONTENT_TYPE` or `.OPENMETRICS_CONTENT_TYPE`. Default: the registry's own. */
  contentType?: RegistryContentType;
  /** Shows the living process at this place alone, without its predecessors and the primary. Default: everything. */
  worker?: string | number | undefined;
}

/** The form of the page that carries native histograms and start timestamps. */
export const PROTOBUF_CONTENT_TYPE =
  'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited';
export type ProtobufContentType = typeof PROTOBUF_CONTENT_TYPE;

export interface ExpositionOptions extends Omit<ScrapeOptions, 'contentType'> {
  /** That of a text format, or `ClusterRegistry.PROTOBUF_CONTENT_TYPE`. Default: the registry's own. */
  contentType?: RegistryContentType | ProtobufContentType;
  /**
   * Whether OpenMetrics has a sample `_created` for each counter, histogram and summary: the time at which it was 0. Such
   * samples are series of their own for a Prometheus without the feature `created-timestamp-zero-ingestion`. Default
   * false. Protobuf always has the times, and no further series.
   */
  createdSamples?: boolean;
}

export interface SamplesOptions {
  /** Names of the metrics to read, a histogram's without `_bucket`. Default: all. */
  names?: Iterable<string>;
  /** Reads the living process at this place alone, without its predecessors and the primary. Default: everything. */
  worker?: string | number | undefined;
}

/** Between two readings of the stores without a scrape: lets the windows of the summaries slide, and finds the dead. */
const TICK_MS = 1000;

/**
 * The metrics of all workers, in the primary. Takes the place of prom-client's AggregatorRegistry: instead of sending a
 * message to every worker, it reads their stores.
 *
 * It extends AggregatorRegistry so that it fits where one is expected, by type or `instanceof`. It uses nothing of its
 * gathering. The price is the listener for the workers' messages that prom-client adds; it ignores all of them.
 */
export class ClusterRegistry<
  C extends RegistryContentType = PrometheusContentType,
> extends library.AggregatorRegistry<C> {
  static readonly PROTOBUF_CONTENT_TYPE = PROTOBUF_CONTENT_TYPE;
  readonly #stores: ClusterStores;
  readonly #own: readonly (StoreRegistry | MirroredRegistry)[];
  readonly #ownStores: readonly Store[];
  readonly #self: SelfMetrics;
  readonly #tick: NodeJS.Timeout;
  readonly #onExit = (worker: Worker) => {
    if (worker.process.pid !== undefined) this.fold(worker.process.pid);
  };
  /** Emitted before each fork, and so before the worker's code runs. */
  readonly #onSetup = (settings: ClusterSettings) => this.#stores.giveTo(settings);
  #scrape: Promise<Scrape> | null = null;
  readonly #sampleReader = new SampleReader();
  readonly #warnOnce = samplingWarnings();

  /**
   * @throws {TypeError} when `directory` or `registers` is missing or wrong, a registry holds a summary of prom-client's,
   *   or its store is a file of `directory`
   * @throws {Error} when a registry holds what Prometheus would reject
   */
  constructor(options: ClusterRegistryOptions) {
    super();
    const {
      directory,
      registers = [],
      shows = 'all',
      prefix = 'cluster_metrics_',
      onProblem = () => {},
    } = checked(options);
    this.#self = new SelfMetrics(prefix);
    const onStoreProblem = (problem: StoreProblem) => {
      this.#self.countProblem(problem.kind);
      onProblem(problem);
    };
    this.#stores = new ClusterStores(directory, onStoreProblem, shows === 'from-now');
    const workerStores = new Set(registers.flatMap((each) => (isWorkerRegistry(each) ? [each.store] : [])));
    const isRead = (metric: object) =>
      isInstrument(metric) && (workerStores.has(metric.store) || isIn(directory, metric.store));
    const copied: Copied = new WeakMap();
    // The first one shows prom-client's metrics that are registered on this registry itself.
    this.#own = [
      new MirroredRegistry(this, isRead, copied),
      ...Array.from(new Set(registers), (each) =>
        isWorkerRegistry(each) ? each : new MirroredRegistry(each, isRead, copied),
      ),
      this.#self.registry,
    ];
    this.#ownStores = [...new Set(this.#own.map(({ store }) => store))];
    this.#tick = setInterval(() => this.#gather(true), TICK_MS).unref();
    cluster.on('exit', this.#onExit);
    cluster.on('setup', this.#onSetup);
    this.#onSetup(cluster.settings);
  }

  /** @throws {TypeError} always: the page shows each worker's store, and the registries that the constructor is given */
  static override setRegistries(): never {
    throw new TypeError(
      'A worker names no registries: its store is read; the primary names its own in new ClusterRegistry({ directory, registers })',
    );
  }

  /**
   * Takes metrics of prom-client or its successor, which are copied at each scrape.
   *
   * @throws {TypeError} for prom-client's Summary: quantiles that were computed already can't be merged truthfully
   * @throws {Error} when the name is taken, or for what Prometheus would reject
   */
  override registerMetric(metric: AnyMetric): void {
    checkForeign(metric);
    super.registerMetric(metric);
  }

  /**
   * The page as text. Counters, histograms and summaries are exact at the time of this call. Calls in one turn of the event
   * loop share one gathering.
   *
   * @throws {RangeError} when there is no such worker
   * @throws {TypeError} for the content type of protobuf, which is no text
   */
  override async clusterMetrics(options: ScrapeOptions = {}): Promise<string> {
    const form = this.#formOf(options);
    if (form === 'protobuf')
      throw new TypeError('Protobuf is no text: write await registry.exposition({ contentType })');
    const scrape = await this.#joinScrape();
    return scrape.text(form, options.worker?.toString());
  }

  /**
   * The page as bytes, a text in UTF-8; calls that share one gathering get the same buffer. For `createMetricsHandler`.
   *
   * @throws {RangeError} when there is no such worker
   */
  async exposition(options: ExpositionOptions = {}): Promise<Buffer> {
    const scrape = await this.#joinScrape();
    return scrape.bytes(this.#formOf(options), options.worker?.toString());
  }

  /**
   * The numbers of the page without the text, in the page's order, exactly as on the page. Shares a gathering with the
   * scrapes of the same turn of the event loop.
   *
   * @throws {RangeError} when there is no such worker
   */
  async samples({ names, worker }: SamplesOptions = {}): Promise<Sample[]> {
    const wanted = names === undefined ? undefined : new Set(names);
    const scrape = await this.#joinScrape();
    return scrape.samples(this.#sampleReader, wanted, worker?.toString());
  }

  /**
   * The buckets of native histograms and of summaries' twins, of all workers that ever lived: the same counts as on the
   * page. Shares a gathering as `samples` does.
   *
   * @param options `names` are those of the native histograms: that of a summary's twin, not of the summary
   * @throws {RangeError} when there is no such worker
   */
  async nativeHistograms({ names, worker }: SamplesOptions = {}): Promise<NativeHistogram[]> {
    const wanted = names === undefined ? undefined : new Set(names);
    const scrape = await this.#joinScrape();
    return scrape.nativeHistograms(wanted, worker?.toString());
  }

  /** Counts a failure of `createMetricsHandler`, which calls it. */
  countHandlerError(cause: HandlerErrorCause): void {
    this.#self.countHandlerError(cause);
  }

  /** The workers whose stores are read, by place. */
  workers(): LiveWorker[] {
    return this.#stores.workers();
  }

  /**
   * Reads the store of a dead process a last time and removes its file; does nothing to that of a living one. Happens by
   * itself for workers of node:cluster, and for all others at the next scrape.
   */
  fold(pid: number): void {
    this.#stores.fold(pid);
  }

  /** Stops listening and closes the files. They stay in the folder. A later scrape shows the last reading. */
  close(): void {
    clearInterval(this.#tick);
    cluster.off('exit', this.#onExit);
    cluster.off('setup', this.#onSetup);
    this.#stores.close();
  }

  #formOf({ contentType = this.contentType, createdSamples = false }: ExpositionOptions): Form {
    if (contentType === PROTOBUF_CONTENT_TYPE) return 'protobuf';
    if (contentType !== library.Registry.OPENMETRICS_CONTENT_TYPE) return 'text';
    return createdSamples ? 'openMetricsCreated' : 'openMetrics';
  }

  #joinScrape(): Promise<Scrape> {
    this.#scrape ??= this.#startScrape();
    return this.#scrape;
  }

  /** Waits for the end of this turn of the event loop, so that all calls in it share the scrape. */
  async #startScrape(): Promise<Scrape> {
    await new Promise((resolve) => setImmediate(resolve));
    // A later call must show the counts from now on, so it starts a scrape of its own.
    this.#scrape = null;
    // Registries with a timer are left out: prom-client measures the event loop's lag from one sample to the next.
    const counted = new Set<object>(
      this.#own.flatMap((each) => (each instanceof MirroredRegistry ? [] : each.getMetricsAsArray())),
    );
    for (const registry of this.#own) if (!registry.isSampled) await this.#sample(registry, counted);
    return new Scrape(() => this.#gather(false), this.#stores, this.#self);
  }

  /** A metric that can't be sampled must not fail the whole page. Emits a process warning, once. */
  async #sample(registry: StoreRegistry | MirroredRegistry, counted: Set<object>): Promise<void> {
    try {
      await registry.sample(counted);
    } catch (error) {
      this.#warnOnce(error);
    }
  }

  #gather(thorough: boolean): View {
    this.#stores.read(thorough);
    this.#self.setWorkers(this.#stores.workers());
    const view = this.#stores.merge(this.#ownStores);
    // The number is known only now, and this scrape shows it.
    this.#self.setSeries(countSamples(view));
    this.#stores.remergeGauges(this.#self.registry.store);
    return view;
  }
}

function checked(options: ClusterRegistryOptions): ClusterRegistryOptions {
  const { directory, registers = [], shows = 'all' } = options ?? {};
  if (typeof directory !== 'string' || directory === '') {
    throw new TypeError(
      `directory must be the path of this instance's stores: write new ClusterRegistry({ directory: createStoreDirectory().path }), not ${inspect(directory)}`,
    );
  }
  if (shows !== 'all' && shows !== 'from-now') {
    throw new TypeError(`shows must be 'all' or 'from-now', not ${inspect(shows)}`);
  }
  if (!Array.isArray(registers) || !registers.every(isRegistry)) {
    throw new TypeError(
      `registers must be an array of registries, of WorkerRegistry or prom-client: write registers: [registry], not ${inspect(registers, { depth: 0 })}`,
    );
  }
  if (registers.some((each) => isWorkerRegistry(each) && isIn(directory, each.store))) {
    throw new TypeError(
      'registers names a WorkerRegistry whose store is a file of this directory, which is read anyway: all of it would be counted twice. Leave it out, or make it without a file, registry = new WorkerRegistry()',
    );
  }
  return options;
}

/** Whether the store has its file in the folder. */
function isIn(directory: string, { path }: Store): boolean {
  return path !== null && resolve(dirname(path)) === resolve(directory);
}

function isRegistry(registry: unknown): boolean {
  return (
    typeof registry === 'object' &&
    registry !== null &&
    'getMetricsAsArray' in registry &&
    'getMetricsAsJSON' in registry
  );
}
