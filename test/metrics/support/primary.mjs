// A primary of its own process, which can be stopped: it scrapes when it is told.
import { ClusterRegistry } from '../../../dist/src/metrics/index.js';

const registry = new ClusterRegistry({ directory: process.argv[2] });
process.on('message', async () => process.send(await registry.clusterMetrics()));
process.send('ready');
