import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Frame } from '../../src/ops/live/model.ts';
import { changeOf } from '../../src/ops/live/numbers.ts';
import { createViewers, eventOf } from '../../src/ops/live/stream.ts';
import { until, whenDone } from '../support/wait.ts';

async function startStreams(t: TestContext) {
  const viewers = createViewers();
  const server = createServer((_request, response) => viewers.add(response, eventOf('hello', 0)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenDone(t, () => {
    viewers.close();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    viewers,
    /** A connection that asks for the stream. */
    view() {
      const socket = connect(port, '127.0.0.1');
      whenDone(t, () => socket.destroy());
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      return socket;
    },
  };
}

test('a viewer that does not read is cut, and holds up no other', async (t) => {
  const { viewers, view } = await startStreams(t);
  let read = 0;
  view().on('data', (chunk) => (read += chunk.length));
  const lazy = view();
  lazy.pause();
  await until('both view', () => viewers.count === 2);
  const event = eventOf('frame', 'x'.repeat(64 * 1024));
  let sent = 0;
  await until('the lazy one is cut', () => {
    viewers.send(event);
    sent += event.length;
    return viewers.count === 1;
  });
  await until('the other has read all', () => read >= sent);
});

test('a viewer that leaves is forgotten, and all streams end at the close', async (t) => {
  const { viewers, view } = await startStreams(t);
  const [leaves, stays] = [view(), view()];
  await until('both view', () => viewers.count === 2);
  leaves.destroy();
  await until('one views', () => viewers.count === 1);
  stays.resume();
  viewers.close();
  await once(stays, 'close');
  await until('there are no viewers', () => viewers.count === 0);
});

test('a change has what is new, and null for what is gone', () => {
  const frame: Frame = {
    at: 1,
    values: { a: 1, b: 2, c: null },
    verdict: { level: 'good', rule: 'quiet', blame: '', numbers: {}, runbook: '' },
    lamps: [],
    workers: [],
    errors: [],
    lockWaits: [],
    faults: [],
    burst: false,
  };
  assert.deepEqual(changeOf(frame, { ...frame, at: 2 }), { at: 2, values: {} });
  assert.deepEqual(changeOf(frame, { ...frame, at: 2, values: { a: 1, b: 3, d: 4 }, burst: true }), {
    at: 2,
    values: { b: 3, d: 4 },
    burst: true,
  });
  assert.deepEqual(changeOf(frame, { ...frame, at: 2, values: { b: 2 } }).values, { a: null });
});
