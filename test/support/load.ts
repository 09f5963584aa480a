import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import type { TestContext } from 'node:test';
import { whenDone } from './wait.ts';

export interface Load {
  /** Stops sending; resolves when the last answer is there. */
  stop(): Promise<LoadResult>;
}

export interface LoadResult {
  /** Answers by status. */
  statuses: Map<number, number>;
  /** Error codes of requests without an answer. */
  failures: string[];
  /** The slowest answer in milliseconds. */
  slowestMs: number;
}

const REQUEST_DEADLINE_MS = 10_000;

/**
 * Starts clients that send one GET request after the other over kept connections until they are stopped or the test ends.
 *
 * @param choose the origin of the next request
 */
export function startLoad(t: TestContext, choose: () => string, path: string, clients: number): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const result: LoadResult = { statuses: new Map(), failures: [], slowestMs: 0 };
  let stopped = false;

  async function client(): Promise<void> {
    while (!stopped) {
      try {
        const startedMs = performance.now();
        const status = await get(new URL(path, choose()), agent);
        result.slowestMs = Math.max(result.slowestMs, performance.now() - startedMs);
        result.statuses.set(status, (result.statuses.get(status) ?? 0) + 1);
      } catch (error) {
        result.failures.push((error as NodeJS.ErrnoException).code ?? String(error));
      }
    }
  }

  const running = Promise.all(Array.from({ length: clients }, client));
  async function stop(): Promise<LoadResult> {
    stopped = true;
    await running;
    agent.destroy();
    return result;
  }
  whenDone(t, stop);
  return { stop };
}

/**
 * Stops the load of clients that have no part in the test, logs their answers and asserts that each request was answered.
 *
 * @returns answers by status
 */
export async function stopBystanders(t: TestContext, bystanders: Load): Promise<Map<number, number>> {
  const { statuses, failures, slowestMs } = await bystanders.stop();
  t.diagnostic(`others: ${JSON.stringify([...statuses])}, the slowest after ${Math.round(slowestMs)} ms`);
  assert.deepEqual(failures, []);
  return statuses;
}

function get(url: URL, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { agent, signal: AbortSignal.timeout(REQUEST_DEADLINE_MS) }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', reject);
    })
      .once('error', reject)
      .end();
  });
}
