import { spawn } from 'node:child_process';
import { serverEnvironment } from './binaries.ts';

/** The watcher gives a server 15 s to stop, then kills it. A watcher that itself does nothing gets this long. */
const STOP_DEADLINE_MS = 20_000;

/**
 * Runs the server and outlives its owner just long enough to stop it. The owner holds the other end of the pipe on
 * standard input and never writes: when that end closes, because the owner is done or dead, the server is asked to stop
 * in three ways. A shell, since it is everywhere and no `pkill node` hits it; it heeds no signal, so it ends after its server only.
 */
const WATCHER = `
trap '' INT TERM HUP
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{
  read -r _ <&3
  for signal in INT QUIT KILL; do
    kill -s "$signal" "$server" || exit
    tries=0
    while [ "$tries" -lt 50 ] && kill -s 0 "$server"; do
      sleep 0.1
      tries=$((tries + 1))
    done
  done
} 2>/dev/null &
reader=$!
wait "$server"
code=$?
kill -s KILL "$reader" 2>/dev/null
wait "$reader" 2>/dev/null
exit "$code"
`;

/** One life of the server. */
export interface Server {
  /** Resolves when it has ended, by itself or not, with how. */
  readonly ended: Promise<string>;
  /** Cuts connections, writes everything, ends. The server is left over if its watcher had to be killed. */
  stop(): Promise<void>;
}

/**
 * Starts a server under its watcher.
 *
 * @param command the server's whole command line
 * @param logFd file descriptor for what it says
 * @param stalePid process id in `postmaster.pid` that PostgreSQL must not take for a server
 */
export function watchServer(command: readonly string[], logFd: number, stalePid: number | undefined): Server {
  const child = spawn('sh', ['-c', WATCHER, 'fake-shop-postgres', ...command], {
    // In its own process group: Ctrl-C reaches the whole group of the terminal, and the database has to go last.
    detached: true,
    stdio: ['pipe', logFd, logFd],
    cwd: '/',
    env: {
      ...serverEnvironment(),
      // PostgreSQL takes this process for no rival, though its id is in postmaster.pid (miscinit.c, CreateLockFile).
      ...(stalePid !== undefined && { PG_GRANDPARENT_PID: String(stalePid) }),
    },
  });
  const lifeline = child.stdin;
  lifeline?.on('error', () => {});
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      // If it was the watcher that was killed, this lets its other half stop the server.
      lifeline?.destroy();
      resolve(signal ?? `exit code ${code}`);
    });
  });
  return {
    ended,
    async stop() {
      lifeline?.destroy();
      const timeout = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
      await ended;
      clearTimeout(timeout);
    },
  };
}
