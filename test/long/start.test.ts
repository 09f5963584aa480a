import assert from 'node:assert/strict';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { CTRL_C, openTerminal, type Terminal } from './terminal.ts';

test('npm start at a terminal prints its addresses and serves, and Ctrl-C stops all that it started', async (t) => {
  const first = await openTerminal(t, 'npm start', { folder: projectRoot });
  const { shop, metrics } = await first.ready();
  const page = await get(shop);
  assert.match(page, /<html lang="pt-BR"/);
  for (const url of [metrics, `${shop}/metrics`]) {
    assert.match(await get(url), /^shop_cart_additions_total\{product="[\w-]+"\} 0$/m);
  }
  await interrupt(first);
  await assert.rejects(get(shop));
  await assert.rejects(get(metrics));

  const second = await openTerminal(t, 'npm start', { folder: projectRoot, dataDir: first.dataDir });
  await get((await second.ready()).shop);
  await interrupt(second);
});

async function interrupt(terminal: Terminal): Promise<void> {
  assert.equal(await terminal.press(CTRL_C), 0, terminal.output());
  assert.match(terminal.output().split('primary: ').at(-1) ?? '', /^stopped: the data is kept in /);
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  assert.equal(response.status, 200);
  return response.text();
}
