import { hostname } from 'node:os';

/** PostgreSQL cuts longer names (`NAMEDATALEN`). */
const MAX_BYTES = 63;

/** Name of the primary's connections; each instance has at least one at any time. */
export const PRIMARY = 'primary';

/**
 * How `pg_stat_activity` shows a connection of this instance: `fake-shop worker 2@web-1/4711`, by host and process id
 * of the primary. A long host name is cut at its beginning: the names of replicas differ at their end.
 *
 * @param part of the instance, as `worker 2`
 * @param primaryPid process id of the instance's primary
 */
export function applicationName(part: string, primaryPid = process.pid): string {
  const before = `fake-shop ${part}@`;
  const after = `/${primaryPid}`;
  // PostgreSQL shows anything but ASCII as question marks.
  const host = hostname().replace(/[^\x21-\x7e]/g, '?');
  return before + host.slice(-(MAX_BYTES - before.length - after.length)) + after;
}

/** Counts the instances in a list of application names. */
export function countInstances(names: readonly string[]): number {
  return new Set(names.filter((name) => name.startsWith(`fake-shop ${PRIMARY}@`))).size;
}
