// A primary of its own process, which can be stopped: it scrapes when it is told.
import { ClusterRegistry } from '@techcommerce/cluster-metrics';

const registry = new ClusterRegistry({ directory: process.argv[2] });
process.on('message', async () => process.send(await registry.clusterMetrics()));
process.send('ready');
