import type { CheckoutPhase, WorkerMetrics } from '../../instrument/worker-metrics.ts';

/** Follows one checkout through its phases; each is observed when the next begins, or when all ends, failed or not. */
export interface Phases {
  enter(phase: CheckoutPhase): void;
  end(): void;
}

export function followPhases(metrics: Pick<WorkerMetrics, 'checkoutPhaseDuration'>): Phases {
  let current: { phase: CheckoutPhase; startedMs: number } | null = null;

  function end(): void {
    if (!current) return;
    metrics.checkoutPhaseDuration.observe({ phase: current.phase }, (performance.now() - current.startedMs) / 1000);
    current = null;
  }

  return {
    enter(phase) {
      end();
      current = { phase, startedMs: performance.now() };
    },
    end,
  };
}
