// A primary in a process of its own, which can be stopped. It scrapes on command.
import { ClusterRegistry } from '@techcommerce/cluster-metrics';

const registry = new ClusterRegistry({ directory: process.argv[2] });
process.on('message', async () => process.send(await registry.clusterMetrics()));
process.send('ready');
