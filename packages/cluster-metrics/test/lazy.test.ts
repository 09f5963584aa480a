import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '../../../test/support/wait.ts';
import { ClusterRegistry, Counter, createStoreDirectory, Gauge, openStore, WorkerRegistry } from '../src/index.ts';

/** A worker's registry, and the primary's view of it. */
function openWorker(t: TestContext) {
  const directory = createStoreDirectory({ name: 'lazy' });
  const store = openStore({ directory: directory.path, worker: 1 });
  const primary = new ClusterRegistry({ directory: directory.path });
  const registers = [new WorkerRegistry(store)];
  const lazy = new Gauge({ name: 'lazy', help: 'help', lazy: true, registers });
  const eager = new Counter({ name: 'eager_total', help: 'help', registers });
  store.flush();
  t.after(() => {
    store.close();
    primary.close();
    directory.remove();
  });
  return {
    store,
    registers,
    lazy,
    eager,
    shows: async (line: string) => (await primary.clusterMetrics()).includes(`\n${line}\n`),
  };
}

test('a lazy change is written by itself soon', async (t) => {
  const { lazy, shows } = openWorker(t);
  lazy.inc(7);
  await until('the primary sees it', () => shows('lazy 7'));
  lazy.inc();
  await until('the primary sees the next one too', () => shows('lazy 8'));
});

test('a lazy change is written with the next change that is not lazy', async (t) => {
  const { lazy, eager, shows } = openWorker(t);
  lazy.inc(3);
  eager.inc();
  await Promise.resolve();
  assert.ok(await shows('eager_total 1'));
  assert.ok(await shows('lazy 3'));
});

test('a lazy change is written at the close', async (t) => {
  const { store, registers, shows } = openWorker(t);
  new Counter({ name: 'acts_total', help: 'help', lazy: true, registers }).inc(5);
  store.close();
  assert.ok(await shows('acts_total 5'));
});
