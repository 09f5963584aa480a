/* `client.js <port> <seconds>`: sends requests in sequence, each over a new connection. Reports start and duration of each, in ms. */
import { once } from 'node:events';
import { get } from 'node:http';

export type Timing = [startedAt: number, ms: number];

const [port, seconds] = process.argv.slice(2);
const timings: Timing[] = [];
const end = performance.now() + 1000 * Number(seconds);
while (performance.now() < end) {
  const wallClock = Date.now();
  const startedAt = performance.now();
  const request = get({ port, host: '127.0.0.1', agent: false });
  const [response] = await once(request, 'response');
  await once(response.resume(), 'end');
  timings.push([wallClock, performance.now() - startedAt]);
}
process.send?.(timings, () => process.disconnect());
