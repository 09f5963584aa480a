import type { EventEmitter } from 'node:events';
import { sampleRegularly } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { type Clock, currentRequest } from './request-clock.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** A connection as the pool's events hand it over: a `pg.Client` that Knex has numbered. */
export interface PoolConnection extends EventEmitter {
  readonly __knexUid: string;
}

type Emitter = Pick<EventEmitter, 'on' | 'removeListener'>;
type Listener = Parameters<EventEmitter['on']>[1];

/** The part of Knex's pool that is used here; the pool is a tarn: https://github.com/vincit/tarn.js */
export interface ConnectionPool extends Emitter {
  numUsed(): number;
  numFree(): number;
  numPendingAcquires(): number;
}

/**
 * Adds listeners to an emitter.
 *
 * @param listeners by event
 * @returns removes them
 */
export function listenTo(emitter: Emitter, listeners: Readonly<Record<string, Listener>>): () => void {
  for (const [event, listener] of Object.entries(listeners)) emitter.on(event, listener);
  return function stopListening() {
    for (const [event, listener] of Object.entries(listeners)) emitter.removeListener(event, listener);
  };
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
  const waiting = new Map<number, Clock>();

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

  const stopListening = listenTo(pool, {
    acquireRequest: acquireRequested,
    acquireSuccess: acquireSettled,
    acquireFail: acquireSettled,
  });
  const sampler = sampleRegularly(function samplePool() {
    connections.set({ state: 'active' }, pool.numUsed());
    connections.set({ state: 'idle' }, pool.numFree());
    connections.set({ state: 'pending' }, pool.numPendingAcquires());
  });

  return function stopWatching() {
    void sampler.stop();
    stopListening();
  };
}
