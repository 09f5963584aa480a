import cluster from 'node:cluster';
import requirements from '../scripts/requirements.cjs';
import { StartError } from './start-error.ts';

// Before anything else is loaded: older versions of Node.js fail at that, or later and worse.
requirements.check();
void run();

async function run(): Promise<void> {
  try {
    // Each process loads its own half only: the primary never the web application, a worker never the ops server.
    if (cluster.isPrimary) await (await import('./cluster/primary.ts')).runPrimary(process.env);
    else await (await import('./cluster/worker.ts')).runWorker(process.env);
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`);
    process.exit(1);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'ERR_MODULE_NOT_FOUND')
    return `A package is missing: run "npm ci" first. ${error.message}`;
  return error instanceof StartError ? error.message : (error.stack ?? error.message);
}
