import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startProgram } from './program.ts';
import { whenDone } from './wait.ts';

const execute = promisify(execFile);

export interface CommandOptions {
  /** Default: five minutes. */
  deadlineMs?: number;
  cwd?: string;
  /** Added to the command's environment. */
  env?: Record<string, string>;
  /** Its standard input. */
  input?: string;
}

/** A Docker engine of the test's own: no other engine sees its images, containers and networks. */
export interface Engine {
  /** A folder of its own for files of the test; removed with the engine. */
  readonly folder: string;
  /** Runs `docker`. @returns its standard output @throws with its output when it fails or takes too long */
  docker(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** Runs Debian's `docker-compose`, as {@link docker}. */
  compose(args: readonly string[], options?: CommandOptions): Promise<string>;
}

const MINUTE_MS = 60_000;
const COMMAND_DEADLINE_MS = 5 * MINUTE_MS;
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Bits of `CapEff` in /proc/self/status, see capabilities(7). */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 };

/** Says in a sentence why this machine allows no Docker engine with any installation; undefined when it does. */
export async function whyNoEngine(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'a Docker engine needs Linux';
  if (process.getuid?.() !== 0) return 'starting a Docker engine needs root';
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\t(\w+)$/m.exec(status)?.[1]}`);
  const lacking = Object.entries(CAPABILITIES).filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n);
  if (lacking.length === 0) return undefined;
  return `starting a Docker engine needs ${lacking.map(([name]) => name).join(' and ')}, which this container does not have`;
}

/**
 * Starts a Docker engine in a temporary folder. It ends with the test, and so do its containers, networks and mounts.
 *
 * It changes neither the machine's firewall nor its routing: containers reach each other, ports published on 127.0.0.1
 * work, the internet is there for `--network host` alone. So engines of other tests and the machine's own go on.
 */
export async function startEngine(t: TestContext): Promise<Engine> {
  // Without a space in its name: it is part of a URL.
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'fake-shop-engine-')));
  whenDone(t, async () => {
    await unmountBelow(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const socket = `unix://${join(folder, 'engine.sock')}`;
  const environment = {
    ...process.env,
    // Debian's docker builds with BuildKit by itself. Others want a plugin for it.
    PATH: `/usr/bin:/usr/sbin:${process.env.PATH}`,
    DOCKER_HOST: socket,
    DOCKER_CONFIG: join(folder, 'client'),
    DOCKER_BUILDKIT: '1',
    COMPOSE_DOCKER_CLI_BUILD: '1',
  };
  await mkdir(environment.DOCKER_CONFIG);

  async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const { deadlineMs = COMMAND_DEADLINE_MS, cwd, env, input } = options;
    const command = execute(program, args, {
      env: { ...environment, ...env },
      timeout: deadlineMs,
      maxBuffer: MOST_OUTPUT_BYTES,
      ...(cwd !== undefined && { cwd }),
    });
    command.child.stdin?.end(input);
    try {
      return (await command).stdout;
    } catch (error) {
      const { stdout, stderr, killed, code } = error as {
        stdout: string;
        stderr: string;
        killed: boolean;
        code: unknown;
      };
      const how = killed ? `took longer than ${deadlineMs} ms` : `failed (${code})`;
      throw new Error(`${program} ${args.join(' ')} ${how}:\n${stdout}${stderr}`, { cause: error });
    }
  }
  const docker: Engine['docker'] = (args, options) => run('docker', args, options);

  await startProgram(
    t,
    'dockerd',
    [
      ...['--host', socket, '--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
      ...['--pidfile', join(folder, 'engine.pid'), '--log-level', 'warn', '--exec-opt', 'native.cgroupdriver=cgroupfs'],
      ...['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--ip-forward=false'],
    ],
    // Its processes have their working folders in here, by which .ci/run finds those that are left.
    { package: 'docker.io', cwd: folder, ready: () => docker(['version'], { deadlineMs: MINUTE_MS }) },
  );
  whenDone(t, async () => {
    const containers = (await docker(['ps', '--all', '--quiet'])).split('\n').filter(Boolean);
    if (containers.length > 0) await docker(['rm', '--force', '--volumes', ...containers]);
    await docker(['network', 'prune', '--force']);
  });
  return { folder, docker, compose: (args, options) => run('docker-compose', args, options) };
}

/** An engine that was killed leaves its containers' file systems mounted. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '');
  const ours = mounts.filter((path) => path.startsWith(`${folder}/`)).reverse();
  if (ours.length > 0) await execute('umount', ['--lazy', ...ours]);
}
