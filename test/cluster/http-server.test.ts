import assert from 'node:assert/strict';
import { Agent, get, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { listen } from '../../src/cluster/http-server.ts';

const REQUESTS_PER_CONNECTION = 100;
const DRAIN_MS = 5_000;

test('a connection is closed after 100 requests, and told so before, so that the next goes to a worker with time', async (t) => {
  const server = await listen((_request, response) => response.end(), { host: '127.0.0.1', port: 0 });
  t.after(() => server.drain(DRAIN_MS));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());

  const ports = new Set<number>();
  const ask = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get({ host: '127.0.0.1', port: server.port, agent }, (response) => {
        ports.add(response.socket.localPort as number);
        response.resume().once('end', () => resolve(response));
      }).once('error', reject);
    });
  for (let i = 1; i < REQUESTS_PER_CONNECTION; i++) assert.equal((await ask()).headers.connection, 'keep-alive');
  assert.equal((await ask()).headers.connection, 'close');
  assert.equal(ports.size, 1);
  assert.equal((await ask()).statusCode, 200);
  assert.equal(ports.size, 2);
});
