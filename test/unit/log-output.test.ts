import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { whenDone } from '../support/wait.ts';

const program = fileURLToPath(new URL('./log-writer.ts', import.meta.url));
/** 6 MB, of which a pipe holds a small part. */
const LINES = 5_000;

/** Starts a program that logs, with stderr for what it says at its end. */
function startWriter(t: TestContext, lines: number, stdout: 'pipe' | number) {
  const writer = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), program, `${lines}`], {
    stdio: ['ignore', stdout, 'pipe'],
    timeout: 60_000,
  });
  whenDone(t, () => writer.kill('SIGKILL'));
  const ended = once(writer, 'close').then(([code]) => code);
  return { stdout: writer.stdout, stderr: text(writer.stderr as Readable), ended };
}

test('a pipe gets every line whole, also when its reader is behind', async (t) => {
  const { stdout, stderr, ended } = startWriter(t, LINES, 'pipe');
  let read = 0;
  for await (const line of createInterface({ input: stdout as Readable })) {
    read += 1;
    assert.equal(JSON.parse(line).line, read);
  }
  assert.equal(read, LINES);
  assert.deepEqual([await stderr, await ended], [`${LINES}`, 0]);
});

test('a program goes on when the disk is full or the reader of its log has gone', async (t) => {
  const full = openSync('/dev/full', 'w');
  const onFullDisk = startWriter(t, 3, full);
  closeSync(full);
  assert.deepEqual([await onFullDisk.stderr, await onFullDisk.ended], ['3', 0]);

  const unread = startWriter(t, 3, 'pipe');
  unread.stdout?.destroy();
  assert.deepEqual([await unread.stderr, await unread.ended], ['3', 0]);
});
