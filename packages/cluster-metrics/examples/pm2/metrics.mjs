import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { ClusterRegistry, createMetricsHandler } from '@techcommerce/cluster-metrics';

// A folder that outlives this process: when it is started anew, the workers go on writing there. Then all totals begin at
// 0, as after any restart, which Prometheus notices; what the workers count from then on is shown, and nothing twice.
const directory = process.env.STORES;
mkdirSync(directory, { recursive: true, mode: 0o700 });
const registry = new ClusterRegistry({ directory, shows: 'from-now' });
createServer(createMetricsHandler(registry)).listen(process.env.METRICS_PORT);
