// A primary that may open few files (`ulimit -n`). It uses them up, reads stores with one left, then with enough.
import { closeSync, openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { ClusterRegistry } from '@techcommerce/cluster-metrics';

const [directory] = process.argv.slice(2);
let outOfFiles = false;
const registry = new ClusterRegistry({
  directory,
  onProblem({ kind, file }) {
    if (kind === 'unreadable' && file === directory) outOfFiles = true;
  },
});
await registry.clusterMetrics();

const taken = [];
try {
  for (;;) taken.push(openSync('/dev/null'));
} catch (error) {
  process.send(error.code);
}
process.once('message', async () => {
  // The registry's own check, once a second, which also looks for dead workers.
  while (!outOfFiles) await setImmediate();
  closeSync(taken.pop());
  await registry.clusterMetrics();
  for (const fd of taken) closeSync(fd);
  process.send(await registry.clusterMetrics());
});
