import { hostname } from 'node:os';

/** PostgreSQL cuts longer names off (`NAMEDATALEN`). */
const MAX_BYTES = 63;

/** Name of the primary's connections; each instance has one at any time. */
export const PRIMARY = 'primary';

/**
 * How `pg_stat_activity` shows a connection of this instance: `fake-shop worker 2@web-1/4711`, by host and process id of the
 * primary. Of a long host name the end is kept, which tells the replicas of a set apart.
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

/** How many instances a list of application names is of. */
export function countInstances(names: readonly string[]): number {
  return new Set(names.filter((name) => name.startsWith(`fake-shop ${PRIMARY}@`))).size;
}
