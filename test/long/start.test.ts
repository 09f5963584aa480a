import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { temporaryFolder } from '../support/cluster.ts';
import { until } from '../support/wait.ts';

const READY_MS = 180_000;
const CTRL_C = '\x03';

test('npm start at a terminal: it tells its addresses, serves, and Ctrl-C stops all that it started', async (t) => {
  const dataDir = await temporaryFolder(t);
  const first = await startAtTerminal(t, dataDir);
  const page = await get(first.shop);
  assert.match(page, /<html lang="pt-BR"/);
  for (const metrics of [first.metrics, `${first.shop}/metrics`]) {
    assert.match(await get(metrics), /^shop_cart_additions_total\{product="[\w-]+"\} 0$/m);
  }
  await first.press(CTRL_C);
  await assert.rejects(get(first.shop));
  await assert.rejects(get(first.metrics));

  const second = await startAtTerminal(t, dataDir);
  await get(second.shop);
  await second.press(CTRL_C);
});

/**
 * Runs `npm start` as the README says, at a terminal that script(1) gives it. The exit code is npm's own: a shell
 * between them, as dash is, answers Ctrl-C with 130 whatever npm said.
 */
async function startAtTerminal(t: TestContext, dataDir: string) {
  const terminal = spawn('script', ['--quiet', '--flush', '--return', '--command', 'exec npm start', '/dev/null'], {
    cwd: projectRoot,
    env: { ...process.env, PORT: '0', METRICS_PORT: '0', HOST: '127.0.0.1', DATA_DIR: dataDir, WORKERS: '2' },
  });
  let output = '';
  terminal.stdout.on('data', (text) => {
    output += text;
  });
  t.after(() => end(terminal));
  const closed = once(terminal, 'close');

  const addresses = /the shop +(http:\S+)\s+its metrics +(http:\S+)\s+to stop it +Ctrl-C/;
  const [, shop = '', metrics = ''] = await until(
    'it is ready',
    () => addresses.exec(output) ?? (terminal.exitCode !== null && [output]),
    READY_MS,
  );
  assert.ok(metrics, output);
  return {
    shop,
    metrics,
    async press(key: string) {
      terminal.stdin.write(key);
      const [code] = await closed;
      assert.equal(code, 0, output);
      assert.match(output.split('primary: ').at(-1) ?? '', /^stopped: the data is kept in /);
    },
  };
}

/** Hangs up; what runs at the terminal is told, and ends. */
async function end(terminal: ChildProcess): Promise<void> {
  if (terminal.exitCode !== null) return;
  terminal.kill('SIGHUP');
  await once(terminal, 'exit');
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  assert.equal(response.status, 200);
  return response.text();
}
