import { startEmbeddedPostgres } from '../../src/db/index.ts';
import { silentLog } from './log.ts';

/**
 * A program that runs the embedded database in the folder given as its argument, so that tests can kill it.
 * It prints the connection settings as JSON. SIGTERM stops it in order; SIGINT (Ctrl-C) only prints a line.
 */
const postgres = await startEmbeddedPostgres({
  dataDir: process.argv[2] ?? '',
  log: silentLog,
  settings: { fsync: 'off' },
});
process.on('SIGINT', () => process.stdout.write('"interrupted"\n'));
process.on('SIGTERM', async () => {
  await postgres.stop();
  process.exit(0);
});
process.stdout.write(`${JSON.stringify(postgres.connection)}\n`);
