/** Why a worker was replaced, label `reason` of `shop_worker_restarts_total`; a closed list. */
export const RESTART_REASONS = [
  'exit',
  'exception',
  'out_of_memory',
  'signal',
  'hang',
  'failed_start',
  'reload',
] as const;
export type RestartReason = (typeof RESTART_REASONS)[number];

/**
 * Why a worker ended that nobody told to.
 *
 * @param code exit code, or null when a signal ended the process
 * @param signal name of that signal
 * @param served whether the worker had ever served
 */
export function exitReason(code: number | null, signal: string | null, served: boolean): RestartReason {
  // V8 aborts when its heap is full. So do Node.js' own assertions, which hardly ever fail.
  if (signal === 'SIGABRT' || signal === 'SIGTRAP') return 'out_of_memory';
  if (signal) return 'signal';
  if (!served) return 'failed_start';
  return code === 0 ? 'exit' : 'exception';
}

/** Whether it ended by a fault: neither replaced in a reload, nor told by an operator's SIGTERM to finish and go. */
export function isCrash(reason: RestartReason): boolean {
  return reason !== 'reload' && reason !== 'exit';
}
