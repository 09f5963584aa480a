import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { freePort } from '../../../../test/support/system.ts';
import { until } from '../../../../test/support/wait.ts';
import { ClusterRegistry } from '../../src/index.ts';
import { parseStoreFileName } from '../../src/store/layout.ts';
import { type Exposition, parseExposition } from '../../src/testing/index.ts';

const DIES_AFTER_ANSWER = pathToFileURL(fileURLToPath(new URL('dies-after-answer.mjs', import.meta.url))).href;
/** Longer than any of them needs: a connection that a dying worker was handed is never answered. */
const PATIENCE_MS = 5_000;

export interface RunningExample {
  readonly port: number;
  readonly metricsPort: number;
  /** The page in the text format, or in OpenMetrics. */
  scrape(accept?: string): Promise<Exposition>;
  /** The page in protobuf. */
  scrapeProtobuf(): Promise<Buffer>;
  /** Asks a worker. Where the query is `?die`, the worker kills itself when it has handed its answer to the system. */
  request(path?: string): Promise<string>;
  /** Of the processes that have a store. */
  pids(): number[];
}

/** Runs the program of an example on free ports, and leaves nothing of it behind. */
export async function startExample(
  t: TestContext,
  program: string,
  env: Record<string, string> = {},
): Promise<RunningExample> {
  const [metricsPort, port] = [await freePort(), await freePort()];
  const primary: ChildProcess = spawn(process.execPath, [program], {
    stdio: 'ignore',
    env: {
      ...process.env,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${DIES_AFTER_ANSWER}`,
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      ...env,
    },
  });
  const exited = once(primary, 'exit');
  t.after(async () => {
    primary.kill('SIGKILL');
    await exited;
  });
  const stores = await until('its folder', () => storesOf(primary.pid as number));
  // The workers notice a moment later that they are alone.
  t.after(() => rmSync(stores, { recursive: true, force: true, maxRetries: 10 }));
  const read = async (url: string, accept = 'text/plain') => {
    const response = await fetch(url, { headers: { accept }, signal: AbortSignal.timeout(PATIENCE_MS) });
    const body = Buffer.from(await response.arrayBuffer());
    if (!response.ok) throw new Error(`${response.status}: ${body}`);
    return { body, contentType: response.headers.get('content-type') ?? '' };
  };
  return {
    port,
    metricsPort,
    async scrape(accept) {
      const { body, contentType } = await read(`http://127.0.0.1:${metricsPort}/metrics`, accept);
      return parseExposition(body.toString(), contentType);
    },
    scrapeProtobuf: async () =>
      (await read(`http://127.0.0.1:${metricsPort}/metrics`, ClusterRegistry.PROTOBUF_CONTENT_TYPE)).body,
    request: async (path = '/') => (await read(`http://127.0.0.1:${port}${path}`)).body.toString(),
    pids: () => readdirSync(stores).flatMap((name) => parseStoreFileName(name)?.pid ?? []),
  };
}

/** The folder that a process has made; its name begins with a word and the pid. */
function storesOf(pid: number): string | undefined {
  const parents = ['/dev/shm', tmpdir()].filter(existsSync);
  return parents
    .flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
    .find((path) => new RegExp(`^\\w+-${pid}-\\d+-\\d+-`).test(basename(path)));
}
