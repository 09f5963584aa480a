import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { startTestServer } from './support/test-server.ts';

/**
 * `node --test` with one PostgreSQL for all test files, instead of one each: `node --import tsx test/run.ts [options and files of node --test]`.
 */
const server = await startTestServer();
const tests = spawn(process.execPath, ['--import', 'tsx', '--test', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, ...server.environment },
});
// A terminal's Ctrl-C reaches the tests by itself, a supervisor's signal only this process.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => tests.kill('SIGTERM'));
const [code] = await once(tests, 'exit');
await server.stop();
process.exitCode = code ?? 1;
