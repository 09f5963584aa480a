import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openCluster } from './support/stores.ts';

const SCRIPT = fileURLToPath(new URL('support/exiting.mjs', import.meta.url));

/** How the thread of each of these cases ends. */
const IN_THREADS = new Map([
  ['in a worker thread', 'by process.exit'],
  ['in a worker thread that is terminated', 'and waits'],
  ['in a worker thread whose process exits', 'and waits'],
]);

for (const way of [
  'by process.exit',
  'by an exception',
  'by an unhandled rejection',
  'in an exit handler',
  'in an exit handler, after process.exit',
  'in an older exit handler',
  'in an older exit handler that exits',
  'in a handler of uncaught exceptions',
  'in a monitor of uncaught exceptions',
  'in a signal handler',
  'at the natural end, lazily',
  'before the natural end',
  'lazily in an exit handler',
  'in several stores',
  'with a store that was closed',
  'in a worker thread',
  'in a worker thread that is terminated',
  'in a worker thread whose process exits',
]) {
  test(`a count at the exit of a process is written: ${way}`, async (t) => {
    const { directory, scrape, problems } = openCluster(t, 0);
    const child = spawn(process.execPath, [SCRIPT, directory, way], { stdio: 'ignore' });
    t.after(() => child.kill('SIGKILL'));
    await once(child, 'exit');
    const samples = await scrape();
    const counted = IN_THREADS.get(way) ?? way;
    const labels = `{way="${counted}"}`;
    assert.equal(samples.of(`lazy_total${labels}`), 1);
    assert.equal(samples.of(`took_seconds_sum${labels}`), 0.25);
    assert.equal(samples.of(`took_seconds_count${labels}`), 1);
    if (!way.includes('lazily')) {
      assert.equal(samples.of(`acts_total${labels}`), 1);
      assert.equal(samples.of(`size_bytes_sum${labels}`), 7);
      assert.equal(samples.of(`size_bytes_count${labels}`), 1);
    }
    assert.deepEqual(problems, []);
  });
}
