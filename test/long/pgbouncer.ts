import { spawn } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePort, temporaryFolder } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

const PROGRAM = '/usr/sbin/pgbouncer';

/**
 * Debian's pgbouncer with its default settings before a test's database.
 *
 * @param url of the database
 * @returns its URL through the pooler
 */
export async function startPgbouncer(t: TestContext, url: string, mode: 'session' | 'transaction'): Promise<string> {
  const folder = await temporaryFolder(t);
  const server = new URL(url);
  const through = new URL(url);
  through.port = String(await freePort());
  const users = join(folder, 'users.txt');
  const config = join(folder, 'pgbouncer.ini');
  await writeFile(users, `"${decodeURIComponent(server.username)}" "${decodeURIComponent(server.password)}"\n`);
  await writeFile(
    config,
    `[databases]
* = host=${server.hostname} port=${server.port}
[pgbouncer]
listen_addr = ${server.hostname}
listen_port = ${through.port}
unix_socket_dir =
auth_type = md5
auth_file = ${users}
pool_mode = ${mode}
`,
  );
  // It refuses to run as root.
  await chmod(folder, 0o755);
  const prefix = process.getuid?.() === 0 ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'] : [];
  const [command = '', ...args] = [...prefix, PROGRAM, config];
  const pooler = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  let ended: string | undefined;
  pooler.stderr.on('data', (text) => {
    said += text;
  });
  pooler.once('error', ({ message }) => {
    ended = message;
  });
  pooler.once('exit', (code) => {
    ended = `exit code ${code}`;
  });
  whenDone(t, async () => {
    if (ended === undefined) pooler.kill('SIGKILL');
    await until('pgbouncer has ended', () => ended);
  });
  await until('pgbouncer listens', () => ended ?? said.includes('listening on'));
  if (ended !== undefined) throw new Error(`${PROGRAM} (Debian's package pgbouncer) did not start: ${ended}\n${said}`);
  return through.href;
}
