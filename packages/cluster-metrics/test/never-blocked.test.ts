import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queuedMs } from '../../../test/support/system.ts';
import { until } from '../../../test/support/wait.ts';
import { startFarm } from './support/farm.ts';

const LIMIT_MS = 100;

test('prom-client fails every scrape while one worker is stopped', async (t) => {
  const farm = await startFarm(t, 'stock', { workers: 2 });
  await farm.tell(1, 'observe', { acts: 7 });
  process.kill(farm.pid(1), 'SIGSTOP');
  await assert.rejects(farm.scrape(), /timed out/);
});

test('a stopped and a hanging worker are served with their last values, and their age grows', async (t) => {
  const farm = await startFarm(t, 'ours', { workers: 3 });
  for (const place of [1, 2, 3]) await farm.tell(place, 'observe', { acts: 10 ** place, depth: place });
  await farm.scrape();

  process.kill(farm.pid(1), 'SIGSTOP');
  await farm.tell(2, 'hang');
  const durations: number[] = [];
  const seen: unknown[] = [];
  await until('the ages of both grow', async () => {
    const [startedAt, queuedBefore] = [performance.now(), queuedMs([process.pid])];
    const samples = await farm.scrape().catch((error: unknown) => void seen.push(error));
    durations.push(performance.now() - startedAt - (queuedMs([process.pid]) - queuedBefore));
    if (!samples) return false;
    seen.push(`${samples.of('acts_total{kind="request"}')} acts, depth ${samples.of('depth')}`);
    return [1, 2].every((worker) => samples.of(`cluster_metrics_worker_age_seconds{worker="${worker}"}`) >= 2);
  });
  assert.deepEqual([...new Set(seen)], ['1110 acts, depth 6']);
  await until(
    'the healthy worker is young',
    async () => (await farm.scrape()).of('cluster_metrics_worker_age_seconds{worker="3"}') < 2,
  );
  const slowest = Math.max(...durations);
  t.diagnostic(`${durations.length} scrapes, the slowest ${slowest.toFixed(1)} ms less its wait for a CPU`);
  assert.ok(slowest < LIMIT_MS, `a scrape took ${slowest} ms`);
});
