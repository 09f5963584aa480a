import type { Logger } from '../log.ts';
import { countInstances } from './application-name.ts';
import type { ServerFacts } from './wait-for-server.ts';

/**
 * Warns when all instances that run now may together want more connections than the server grants this user. Behind a
 * pooler it says nothing: how many connections of the server a pooler uses is not known here.
 *
 * @param connections that this instance may hold; the others are taken to be like it
 */
export function warnOfFewConnections(facts: ServerFacts, connections: number, log: Logger): void {
  if (facts.pooled) return;
  const { maxConnections, reserved, roleLimit, databaseLimit, others } = facts;
  const limits = [maxConnections - reserved, roleLimit, databaseLimit].filter((limit) => limit >= 0);
  const granted = Math.min(...limits);
  const instances = countInstances(others) + 1;
  const wanted = instances * connections;
  if (wanted <= granted) return;
  log.warn(
    { instances, wanted, granted, maxConnections, reserved, roleLimit, databaseLimit },
    `${instances === 1 ? 'this instance' : `the ${instances} instances`} may want ${wanted} database connections, and the server grants ${granted}: lower WORKERS or DB_POOL_MAX, or raise max_connections`,
  );
}
