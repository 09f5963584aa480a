/**
 * Tells of metrics that could not be sampled, by a process warning for each different error: a scrape every few seconds
 * must not repeat it.
 */
export function samplingWarnings(): (error: unknown) => void {
  const told = new Set<string>();
  return function warnOnce(error) {
    const warning = `A metric could not be sampled: ${error instanceof Error ? error.message : error}`;
    if (!told.has(warning)) process.emitWarning(warning);
    told.add(warning);
  };
}
