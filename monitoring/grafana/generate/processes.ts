import { toRunbook } from './board.ts';
import { type PanelBuilder, timeSeries } from './panels.ts';
import { aggregate, PER_INSTANCE, series } from './promql.ts';

/** What each board says about a panel that several have. */
interface Said {
  readonly title: string;
  readonly description: string;
}

/** How busy the machine of each instance is, with everything that runs on it. */
export function machineCpu(said: Said): PanelBuilder {
  return timeSeries({
    ...said,
    unit: 'percentunit',
    min: 0,
    max: 1,
    steps: [
      [null, 'green'],
      [0.7, 'orange'],
      [0.9, 'red'],
    ],
    showSteps: true,
    queries: [{ expr: series('shop_host_cpu_usage_ratio'), legend: '{{instance}}' }],
    links: [toRunbook('more-load-than-the-shop-can-serve')],
  });
}

/** Cores that each process of each instance uses. */
export function workerCpu(said: Said): PanelBuilder {
  return timeSeries({
    ...said,
    unit: 'percentunit',
    steps: [
      [null, 'green'],
      [0.9, 'red'],
    ],
    showSteps: true,
    sortedBy: 'max',
    queries: [{ expr: series('shop_cpu_usage_ratio'), legend: '{{instance}} · {{worker}}' }],
    links: [toRunbook('more-load-than-the-shop-can-serve')],
  });
}

/** How late the event loop of each instance's slowest worker is: every time that a worker measures grows with it. */
export function loopLag(said: Said): PanelBuilder {
  return timeSeries({
    ...said,
    unit: 's',
    steps: [
      [null, 'green'],
      [0.1, 'orange'],
      [0.25, 'red'],
    ],
    showSteps: true,
    sortedBy: 'max',
    queries: [
      { expr: aggregate('max', series('nodejs_eventloop_lag_p99_seconds'), PER_INSTANCE), legend: '{{instance}}' },
    ],
    links: [toRunbook('a-worker-hangs')],
  });
}
