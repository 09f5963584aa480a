import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../../test/support/wait.ts';
import { createStoreDirectory, openStore, type Store, Summary, WorkerRegistry } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';

function openFile(t: TestContext): Store {
  const directory = createStoreDirectory({ name: 'window' });
  const store = openStore({ directory: directory.path, worker: 1 });
  t.after(() => {
    store.close();
    directory.remove();
  });
  return store;
}

for (const [kind, open] of [
  ['a file', openFile],
  ['memory', () => undefined],
] as const) {
  test(`a registry of a store in ${kind} shows the quantiles of the window, even after a while without a reader`, async (t) => {
    const registry = new WorkerRegistry(open(t));
    const summary = new Summary({ name: 'a', help: 'help', percentiles: [1], maxAgeSeconds: 2, registers: [registry] });
    const highest = async () =>
      parseExposition(`${await registry.getSingleMetricAsString('a')}\n`).of('a{quantile="1"}');
    summary.observe(1000);
    assert.ok(Math.abs((await highest()) - 1000) <= 10);
    // No scrape comes meanwhile: the store reads its windows by itself.
    await sleep(2500);
    summary.observe(1);
    await until('the old observation has left', async () => Math.abs((await highest()) - 1) <= 0.01);

    await until('the window is empty', async () => Number.isNaN(await highest()));
    const samples = parseExposition(await registry.metrics());
    assert.equal(samples.of('a_sum'), 1001);
    assert.equal(samples.of('a_count'), 2);
  });
}
