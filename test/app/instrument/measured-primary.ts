import type { TestContext } from 'node:test';
import { WorkerRegistry } from '@techcommerce/cluster-metrics';
import { type Exposition, parseExposition } from '@techcommerce/cluster-metrics/testing';
import type { Knex } from 'knex';
import {
  createPrimaryMetrics,
  type PrimaryMetrics,
  type WorkerState,
} from '../../../src/instrument/primary-metrics.ts';
import { openPool } from '../../support/database.ts';
import { silentLog } from '../../support/log.ts';
import { whenDone } from '../../support/wait.ts';

interface MeasuredPrimary {
  primary: PrimaryMetrics;
  database: Knex;
  places: { state: WorkerState }[];
  scrape(): Promise<Exposition>;
}

/** The metrics of a primary that is connected to a database. */
export async function measuredPrimary(t: TestContext, url: string, log = silentLog): Promise<MeasuredPrimary> {
  const database = openPool(t, { url }, { applicationName: 'test primary', log });
  const registry = new WorkerRegistry();
  const places: MeasuredPrimary['places'] = [];
  const primary = await createPrimaryMetrics(registry, {
    database,
    log,
    build: { version: '1.2.3', revision: 'c0ffee' },
    workers: () => places,
  });
  whenDone(t, () => primary.stop());
  return { primary, database, places, scrape: async () => parseExposition(await registry.metrics()) };
}
