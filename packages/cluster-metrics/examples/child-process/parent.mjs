// Children of child_process.fork that do jobs. The parent hands them out and shows the metrics.
import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import { ClusterRegistry, createMetricsHandler, createStoreDirectory } from '@techcommerce/cluster-metrics';

const { METRICS_PORT = 9464, JOBS = 1000 } = process.env;
const stores = createStoreDirectory({ name: 'child_process' });
const registry = new ClusterRegistry({ directory: stores.path });
let jobsLeft = Number(JOBS);

function start(place) {
  const child = fork(new URL('child.mjs', import.meta.url), [stores.path, place]);
  child.on('message', () => {
    if (jobsLeft-- > 0) child.send('job');
  });
  child.once('exit', () => {
    // The next scrape would notice by itself; this way the dead child's file is gone at once.
    registry.fold(child.pid);
    start(place);
  });
}
for (const place of [1, 2]) start(place);
createServer(createMetricsHandler(registry)).listen(METRICS_PORT);
