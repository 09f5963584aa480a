import type { EventEmitter } from 'node:events';
import { sampleRegularly } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { currentRequest, type RequestClock } from './request-clock.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** A connection as the pool's events hand it over: a `pg.Client` that Knex has numbered. */
export interface PoolConnection extends EventEmitter {
  readonly __knexUid: string;
}

/** The part of Knex's pool that is used here; the pool is a tarn: https://github.com/vincit/tarn.js */
export interface ConnectionPool {
  numUsed(): number;
  numFree(): number;
  numPendingAcquires(): number;
  on(event: 'acquireRequest', listener: (eventId: number) => void): void;
  on(event: 'acquireSuccess', listener: (eventId: number, connection: PoolConnection) => void): void;
  on(event: 'acquireFail', listener: (eventId: number, error: Error) => void): void;
  on(event: 'release', listener: (connection: PoolConnection) => void): void;
  on(event: 'destroyRequest', listener: (eventId: number, connection: PoolConnection) => void): void;
  removeListener(event: string, listener: (...args: never[]) => void): void;
}

export function poolOf(database: Knex): ConnectionPool {
  return database.client.pool as ConnectionPool;
}

/**
 * Keeps `shop_db_connections`, and charges each wait for a connection to the clock of its request, also a wait that
 * fails.
 *
 * @returns removes the listeners and stops the sampling
 */
export function watchPool(pool: ConnectionPool, connections: WorkerMetrics['dbConnections']): () => void {
  const waiting = new Map<number, RequestClock>();

  function acquireRequested(eventId: number): void {
    const request = currentRequest();
    if (!request) return;
    request.begin('db_wait');
    waiting.set(eventId, request);
  }

  function acquireSettled(eventId: number): void {
    waiting.get(eventId)?.end('db_wait');
    waiting.delete(eventId);
  }

  pool.on('acquireRequest', acquireRequested);
  pool.on('acquireSuccess', acquireSettled);
  pool.on('acquireFail', acquireSettled);
  const sampler = sampleRegularly(function samplePool() {
    connections.set({ state: 'active' }, pool.numUsed());
    connections.set({ state: 'idle' }, pool.numFree());
    connections.set({ state: 'pending' }, pool.numPendingAcquires());
  });

  return function stopWatching() {
    void sampler.stop();
    pool.removeListener('acquireRequest', acquireRequested);
    pool.removeListener('acquireSuccess', acquireSettled);
    pool.removeListener('acquireFail', acquireSettled);
  };
}
