const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Divides all durations of Prometheus' rules, or of Alertmanager's routes, by a factor: those of ranges, subqueries and
 * offsets (`[1h:1m]`, `offset 1h`), and of the fields `for`, `interval`, `group_wait`, `group_interval` and
 * `repeat_interval`. The expressions are otherwise the same. Names such as `rate5m` and numbers of seconds stay.
 *
 * @param text YAML
 */
export function quicken(text: string, factor: number): string {
  const divided = (duration: string) =>
    duration.replace(/(\d+)(ms|[smhd])/g, (_, number, unit) => {
      return `${Math.max(1, Math.round((Number(number) * (UNITS_MS[unit] ?? 0)) / factor))}ms`;
    });
  return text
    .replace(/\[(\d+[a-z]+)(:\d+[a-z]+)?\]/g, divided)
    .replace(/\boffset \d+[a-z]+/g, divided)
    .replace(/^ *(for|interval|group_wait|group_interval|repeat_interval): \d+[a-z]+$/gm, divided);
}
