import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { WorkerRegistry } from '@techcommerce/cluster-metrics';
import { pino } from 'pino';
import { keepDefaultMetrics } from '../../src/instrument/process.ts';
import { createWorkerMetrics } from '../../src/instrument/worker-metrics.ts';
import { projectRoot } from '../../src/paths.ts';
import { ROUTES } from '../support/worker-metrics.ts';

const page = readFileSync(join(projectRoot, 'docs/distributed.md'), 'utf8');

/** Cells of the tables under a heading, row by row. */
function rowsUnder(heading: string): string[][] {
  const [, section = ''] = page.split(`\n## ${heading}\n`);
  const [ours = ''] = section.split('\n## ');
  return Array.from(ours.matchAll(/^\| (.+) \|$/gm), ([, row = '']) => row.split(' | '));
}

const amount = (cell = '') => Number(cell.replaceAll(',', ''));

test('each row of the table of connections is what its formula gives', () => {
  const [, ofPrimary] = /`\(WORKERS \+ 1\) × \(DB_POOL_MAX \+ 1\) \+ (\d+)`/.exec(page) ?? [];
  const rows = rowsUnder('The database is the limit').filter(([instances]) => amount(instances) > 0);
  assert.ok(rows.length >= 5);
  for (const [instances, workers, pool, connections] of rows) {
    const each = (amount(workers) + 1) * (amount(pool) + 1) + Number(ofPrimary);
    assert.equal(amount(connections), (amount(instances) + 1) * each, `${instances} instances`);
  }
});

test('the table of names has each metric that is no matter of the shop alone', async (t) => {
  const registry = new WorkerRegistry();
  t.after(keepDefaultMetrics(registry, pino({ level: 'silent' })));
  createWorkerMetrics(registry, { worker: '1', routes: ROUTES, poolMax: 3 });
  const names = Array.from((await registry.metrics()).matchAll(/^# TYPE (\w+) /gm), ([, name = '']) => name);
  const general = names.filter((name) => !/^shop_(?!db_|cpu_)/.test(name));
  assert.ok(general.length > 20);

  const cells = rowsUnder('Names in OpenTelemetry').map(([ours = '']) => ours);
  // `nodejs_eventloop_lag_min_seconds`, `…_max_seconds`: the dots stand for the beginning of the name before.
  const listed = new Set<string>();
  for (const cell of cells) {
    let first = '';
    for (const [, code = ''] of cell.matchAll(/`([\w…]+)[^`]*`/g)) {
      if (!code.startsWith('…')) first = code;
      listed.add(code.replace('…', first.replace(/_[a-z]+_seconds$/, '')));
    }
  }
  const own = new Set(['shop_db_disk_full']);
  assert.deepEqual(
    general.filter((name) => !listed.has(name) && !own.has(name)),
    [],
  );
});
