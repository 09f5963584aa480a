import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../../test/support/system.ts';
import { until } from '../../../../test/support/wait.ts';
import { parseExposition } from '../../src/testing/index.ts';

const { PM2 } = process.env;
const ecosystem = fileURLToPath(new URL('../../examples/pm2/ecosystem.config.cjs', import.meta.url));
const PATIENCE_MS = 5_000;

test('PM2: a killed worker loses nothing, a restarted metrics process is one true reset', {
  skip: PM2 === undefined && 'PM2 is no dependency of this project: set PM2 to its command, as .ci/run does',
}, async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'pm2-'));
  const [port, metricsPort] = [await freePort(), await freePort()];
  const env = {
    ...process.env,
    PM2_HOME: home,
    STORES: join(home, 'stores'),
    PORT: String(port),
    METRICS_PORT: String(metricsPort),
  };
  function pm2(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync(PM2 as string, args, { env, encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    return stdout;
  }
  t.after(() => {
    pm2('kill');
    rmSync(home, { recursive: true });
  });

  const read = async (port: number) => {
    const response = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return response.text();
  };
  const scrape = async () => parseExposition(await read(metricsPort));
  const pidsOf = (name: string) => pm2('pid', name).trim().split('\n').map(Number);
  const workers = async () =>
    (await scrape()).samples.filter(({ name }) => name === 'cluster_metrics_worker_age_seconds');

  pm2('start', ecosystem);
  await until('four workers', async () => (await workers()).length === 4);
  const before = await scrape();
  for (let i = 0; i < 20; i++) assert.match(await until('an answer', () => read(port)), /^hello from \d+\n$/);
  assert.equal((await scrape()).since(before).of('requests_total'), 20);

  const [victim = 0] = pidsOf('web');
  process.kill(victim, 'SIGKILL');
  await until('its replacement', async () => pidsOf('web').length === 4 && !pidsOf('web').includes(victim));
  await until('four workers', async () => (await workers()).length === 4);
  const whole = await scrape();
  assert.equal(whole.of('requests_total'), 20);
  assert.deepEqual(whole.decreases(before), []);

  const [metrics = 0] = pidsOf('metrics');
  process.kill(metrics, 'SIGKILL');
  const reset = await until('another metrics process', async () => !pidsOf('metrics').includes(metrics) && scrape());
  assert.equal(reset.of('requests_total'), 0);
  assert.equal((await workers()).length, 4, 'the workers go on');
  for (let i = 0; i < 5; i++) await read(port);
  const after = await scrape();
  assert.equal(after.of('requests_total'), 5);
  assert.deepEqual(after.decreases(reset), []);
});
