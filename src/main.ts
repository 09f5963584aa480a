import cluster from 'node:cluster';
import { ConfigError } from './config.ts';

try {
  // Each process loads its own half only: the primary never the web application, a worker never the ops server.
  if (cluster.isPrimary) await (await import('./cluster/primary.ts')).runPrimary(process.env);
  else await (await import('./cluster/worker.ts')).runWorker(process.env);
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.message : describe(error)}\n`);
  process.exit(1);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
