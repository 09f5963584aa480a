import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { startLoad } from '../support/load.ts';
import { connectRaw } from '../support/raw-client.ts';
import { until } from '../support/wait.ts';

/** Runs in every process of the shop. A signal makes a worker loop without an end, or keep what it allocates. */
const PRELOADED = `
  import cluster from 'node:cluster';
  import { isMainThread } from 'node:worker_threads';
  const kept = [];
  function keepNumbers() { kept.push(Array.from({ length: 1_000_000 }, Math.random)); }
  function loopWithoutEnd() { for (;;); }
  if (isMainThread && cluster.isWorker) process.on('SIGUSR2', loopWithoutEnd).on('SIGWINCH', keepNumbers);
`;

async function ask({ opsUrl }: RunningCluster, query: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${opsUrl}/debug/${query}`, { headers, signal: AbortSignal.timeout(60_000) });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

async function pidOf(shop: RunningCluster, place: number): Promise<number> {
  return (await shop.status()).workers.find(({ worker }) => worker === place)?.pid as number;
}

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
  startTime: number;
  endTime: number;
}

test('the primary shows where a worker is, also while it is blocked', async (t) => {
  const preload = `--import=data:text/javascript,${encodeURIComponent(PRELOADED)}`;
  // While V8 counts coverage, a profile gives the samples of an optimized loop to the caller of its function.
  const env = { NODE_OPTIONS: preload, WORKER_HANG_SECONDS: '8', NODE_V8_COVERAGE: '' };
  const shop = await startCluster(t, { workers: 2, env });

  await t.test('an idle worker is idle', async () => {
    await until('a moment without work', async () => {
      const { status, text } = await ask(shop, 'stack?worker=1');
      assert.equal(status, 200, text);
      return new RegExp(`^worker 1, process ${await pidOf(shop, 1)}, .* main thread idle`).test(text);
    });
  });

  await t.test('wrong questions get an answer that says what to do', async () => {
    for (const query of ['stack', 'stack?worker=x', 'stack?worker=0', 'profile?worker=1&worker=2', 'heap?worker=-1']) {
      const { status, text } = await ask(shop, query);
      assert.equal(status, 400, query);
      assert.match(text, /worker must be a place number/);
    }
    for (const seconds of ['0', '21', '1.5', 'x', '', '1e1', '-1']) {
      for (const what of ['profile', 'heap']) {
        const { status, text } = await ask(shop, `${what}?worker=1&seconds=${seconds}`);
        assert.equal(status, 400, `${what} ${seconds}`);
        assert.match(text, /seconds must be a whole number from 1 to 20/);
      }
    }
    assert.equal((await ask(shop, 'stack?worker=3')).status, 404);
  });

  await t.test('pages of other sites and visitors behind a proxy are refused', async () => {
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'x-forwarded-for': '203.0.113.9' },
      { forwarded: 'for=203.0.113.9' },
    ]) {
      for (const path of ['stack?worker=1', 'profile?worker=1', 'heap?worker=1']) {
        const { status, text } = await ask(shop, path, headers);
        assert.equal(status, 403, JSON.stringify(headers));
        assert.doesNotMatch(text, /main thread/);
      }
    }
    assert.equal((await ask(shop, 'stack?worker=1', { 'sec-fetch-site': 'same-origin' })).status, 200);

    for (const [head, status] of [
      ['HTTP/1.0', 403],
      ['HTTP/1.1\r\nHost: localhost,evil.example', 400],
    ] as const) {
      const client = connectRaw(t, shop.opsUrl);
      await client.send(`GET /debug/stack?worker=1 ${head}\r\nConnection: close\r\n\r\n`);
      await until('it is answered', () => client.answer() !== '');
      assert.match(client.answer(), new RegExp(`^HTTP/1\\.1 ${status}`));
    }
  });

  await t.test('one at a time', async () => {
    const profile = ask(shop, 'profile?worker=1&seconds=2');
    const refused = await until('the profile is under way', async () => {
      const answer = await ask(shop, 'stack?worker=2');
      return answer.status === 409 && answer;
    });
    assert.match(refused.text, /one at a time/);
    assert.ok(refused.headers.get('retry-after'));
    assert.equal((await profile).status, 200);
    assert.equal((await ask(shop, 'stack?worker=2')).status, 200);
  });

  await t.test('a worker that is asked again and again serves on', async (t) => {
    const load = startLoad(t, () => shop.shopUrl, '/detail/1', 4);
    let busy = '';
    // The debugger's own pause ended a busy worker about once in a hundred times.
    for (let i = 0; i < 500; i++) {
      const { status, text } = await ask(shop, `stack?worker=${1 + (i % 2)}`);
      assert.equal(status, 200, text);
      if (text.includes('main thread runs')) busy = text;
    }
    const profile = await ask(shop, 'profile?worker=1&seconds=1');
    const { statuses, failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.deepEqual([...statuses.keys()], [200]);
    assert.deepEqual(
      (await shop.status()).workers.map(({ restarts }) => restarts),
      [0, 0],
    );
    assert.match(busy, /\n {4}at .+ \(\S+:\d+:\d+\)\n/);
    const { nodes } = JSON.parse(profile.text) as CpuProfile;
    const urls = nodes.map(({ callFrame }) => callFrame.url);
    assert.ok(
      urls.some((url) => /^(src|packages)\/.+\.ts$/.test(url)),
      'files of the sources',
    );
    assert.deepEqual(
      urls.filter((url) => /^file:|^\/|\.builds/.test(url)),
      [],
      'and not of the build',
    );
  });

  await t.test('the heap has its sizes, and who keeps what was allocated', async () => {
    const pid = await pidOf(shop, 1);
    // Again and again, as the start of the samples is not announced.
    const allocating = setInterval(() => process.kill(pid, 'SIGWINCH'), 100);
    const { status, text } = await until('the worker had time to answer', async () => {
      const answer = await ask(shop, 'heap?worker=1&seconds=3');
      return (answer.status !== 503 || !/gets no time on a processor/.test(answer.text)) && answer;
    }).finally(() => clearInterval(allocating));
    assert.equal(status, 200, text);
    assert.match(text, /^old_space +\d+\.\d\d MB of +\d+\.\d\d MB$/m);
    const [, megabytes] = /^ +([\d.]+) MB {2}keepNumbers/m.exec(text) ?? [];
    assert.ok(Number(megabytes) > 1, text);
  });

  await t.test('a blocked worker shows its loop: asked for, profiled, and in the log at its end', async () => {
    const pid = await pidOf(shop, 2);
    process.kill(pid, 'SIGUSR2');
    const stack = await until('it loops', async () => {
      const answer = await ask(shop, 'stack?worker=2');
      return answer.text.includes('loopWithoutEnd') && answer;
    });
    assert.match(stack.text, new RegExp(`^worker 2, process ${pid}, .* main thread runs\n {4}at loopWithoutEnd `));

    const profile = await ask(shop, 'profile?worker=2&seconds=1');
    assert.match(profile.headers.get('content-disposition') ?? '', /^attachment; filename="worker-2-.*\.cpuprofile"$/);
    const { nodes, samples, timeDeltas, startTime, endTime } = JSON.parse(profile.text) as CpuProfile;
    const loops = new Set(
      nodes.filter(({ callFrame }) => callFrame.functionName === 'loopWithoutEnd').map(({ id }) => id),
    );
    const share = samples.filter((id) => loops.has(id)).length / samples.length;
    assert.ok(samples.length > 10 && share > 0.5, `${samples.length} samples, ${share} in the loop`);
    assert.equal(samples.length, timeDeltas.length);
    assert.ok(endTime - startTime >= 900_000, 'microseconds');

    await until('it is replaced', async () => (await shop.status()).workers[1]?.restarts === 1);
    const line =
      shop
        .output()
        .split('\n')
        .find((each) => each.includes('worker hangs and is killed')) ?? '{}';
    const { workerPid, mainThread } = JSON.parse(line) as { workerPid: number; mainThread: string };
    assert.equal(workerPid, pid);
    assert.match(mainThread, /^runs\n {4}at loopWithoutEnd /);
  });

  await t.test('a worker that is stopped has no answer, and its death ends the question', async () => {
    const pid = await pidOf(shop, 1);
    process.kill(pid, 'SIGSTOP');
    const silent = await ask(shop, 'stack?worker=1');
    assert.equal(silent.status, 503, silent.text);
    const asked = ask(shop, 'profile?worker=1&seconds=20');
    await until('it is asked', async () => (await ask(shop, 'stack?worker=2')).status === 409);
    process.kill(pid, 'SIGKILL');
    const { status, text } = await asked;
    assert.equal(status, 404, text);
    assert.match(text, /its process has ended/);
  });

  await t.test('a profile does not hold up the end of the shop', async (t) => {
    await until('both are replaced and serve', async () =>
      (await shop.status()).workers.every(({ state, restarts }) => state === 'serving' && restarts === 1),
    );
    const asked = ask(shop, 'profile?worker=1&seconds=20').catch(() => null);
    await until('it is under way', async () => (await ask(shop, 'stack?worker=2')).status === 409);
    const stoppedMs = performance.now();
    assert.deepEqual(await shop.stop(), { code: 0, signal: null });
    t.diagnostic(`${Math.round(performance.now() - stoppedMs)} ms`);
    assert.notEqual((await asked)?.status, 200);
    assert.doesNotMatch(shop.output(), /did not drain/);
  });
});
