import { Gauge, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import { SERVER_STATES, type ShopReading } from './database-readings.ts';

const WHOLE_SHOP =
  'the truth of the whole shop on every instance: across instances take max, never sum; NaN while the database does not tell';

/** A visit is written down only when the last one that was is so old: see `visit` in shop/sessions. */
const ROUGHLY = ', as noted every 15 seconds';

export interface DatabaseGauges {
  readonly up: Gauge;
  readonly show: (reading: ShopReading) => void;
  /** Makes all but `up` NaN. */
  readonly forget: () => void;
}

/** The gauges that one sample of the database fills. */
export function databaseGauges(registry: WorkerRegistry): DatabaseGauges {
  const registers = [registry];
  const up = new Gauge({
    name: 'shop_db_up',
    help: 'Whether the database answers and takes writes: 1 or 0',
    registers,
  });
  const activeSessions = new Gauge({
    name: 'shop_active_sessions',
    help: `Sessions seen in the last 5 minutes${ROUGHLY}; ${WHOLE_SHOP}`,
    aggregator: 'max',
    registers,
  });
  const activeCartSessions = new Gauge({
    name: 'shop_active_cart_sessions',
    help: `Sessions with an open, non-empty cart seen in the last 30 minutes${ROUGHLY}; ${WHOLE_SHOP}`,
    aggregator: 'max',
    registers,
  });
  const serverConnections = new Gauge({
    name: 'shop_db_server_connections',
    help: `Connections to the shop's database as PostgreSQL counts them (pg_stat_activity), by state; ${WHOLE_SHOP}`,
    labelNames: ['state'],
    aggregator: 'max',
    registers,
  });
  for (const state of SERVER_STATES) serverConnections.set({ state }, 0);
  const unsettledPayments = new Gauge({
    name: 'shop_payments_unsettled',
    help: `Payments that were started more than 10 seconds ago and are neither an order's nor declined nor cancelled; ${WHOLE_SHOP}`,
    aggregator: 'max',
    registers,
  });
  const serverConnectionsMax = new Gauge({
    name: 'shop_db_server_connections_max',
    help: `Connections that PostgreSQL grants to all of its databases together (max_connections); ${WHOLE_SHOP}`,
    aggregator: 'max',
    registers,
  });

  return {
    up,
    show({ connections, connectionsMax, sessions, unsettledPayments: payments }) {
      serverConnectionsMax.set(connectionsMax);
      for (const state of SERVER_STATES) serverConnections.set({ state }, connections[state]);
      activeSessions.set(sessions.active);
      activeCartSessions.set(sessions.withCart);
      unsettledPayments.set(payments);
    },
    forget() {
      serverConnectionsMax.set(Number.NaN);
      for (const state of SERVER_STATES) serverConnections.set({ state }, Number.NaN);
      activeSessions.set(Number.NaN);
      activeCartSessions.set(Number.NaN);
      unsettledPayments.set(Number.NaN);
    },
  };
}
