import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * The command line of a running process, its arguments apart by spaces; `undefined` when there is none: it does not
 * run, has ended and waits to be reaped, or belongs to a user who hides it.
 */
export async function commandLine(pid: number): Promise<string | undefined> {
  const line =
    process.platform === 'linux'
      ? (await read(`/proc/${pid}/cmdline`))?.replaceAll('\0', ' ')
      : await ps(pid, 'command=');
  return line?.trim() || undefined;
}

/** Ids of all processes that we can see. */
export async function processIds(): Promise<number[]> {
  const names =
    process.platform === 'linux'
      ? await readdir('/proc')
      : (await run('ps', ['-axo', 'pid='])).stdout.split('\n').map((line) => line.trim());
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

/**
 * Identifies the process that has an id now: an earlier or later process with the same id has another word. `undefined`
 * when none runs. Process ids come back soon in containers, where every start counts from 1.
 */
export async function processLife(pid: number): Promise<string | undefined> {
  const started = process.platform === 'linux' ? await linuxStart(pid) : await ps(pid, 'lstart=');
  return started && createHash('sha256').update(started).digest('hex').slice(0, 16);
}

/** Identifies the set of processes whose ids are visible here: two containers have two sets. */
export async function processNamespace(): Promise<string> {
  const link = await readlink('/proc/self/ns/pid').catch(() => '');
  return /\d+/.exec(link)?.[0] ?? '0';
}

/** Ticks since the machine's start (proc_pid_stat(5), field 22), and which start of the machine. */
async function linuxStart(pid: number): Promise<string | undefined> {
  const stat = await read(`/proc/${pid}/stat`);
  // The second field, the program's name in parentheses, may itself hold spaces and parentheses.
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  if (state === undefined || state === 'Z' || state === 'X') return undefined;
  return `${await read('/proc/sys/kernel/random/boot_id')} ${fields[18]}`;
}

async function read(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

async function ps(pid: number, column: string): Promise<string | undefined> {
  const result = await run('ps', ['-ww', '-o', column, '-p', String(pid)]).catch(() => undefined);
  return result?.stdout.trim() || undefined;
}
