import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { releaseStack } from '../../src/cluster/release.ts';

test('resources are released in reverse order, one after the other, and a failure does not stop the rest', async () => {
  const told: string[] = [];
  const resources = releaseStack((error) => told.push((error as Error).message));
  for (const name of ['logs', 'database', 'pool', 'server']) {
    resources.add(name, async (closing) => {
      assert.equal(closing, name);
      told.push(`${name} closes`);
      await turn();
      if (name === 'pool') throw new Error('the pool fails to close');
      told.push(`${name} is closed`);
    });
  }
  await Promise.all([resources.release(), resources.release()]);

  assert.deepEqual(told, [
    ...['server closes', 'server is closed'],
    ...['pool closes', 'the pool fails to close'],
    ...['database closes', 'database is closed'],
    ...['logs closes', 'logs is closed'],
  ]);
});
