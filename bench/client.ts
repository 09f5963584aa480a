/* `client.js <port> <seconds>`: requests one after the other, each over a new connection; sends the 99th percentile. */
import { once } from 'node:events';
import { get } from 'node:http';

const [port, seconds] = process.argv.slice(2);
const durations: number[] = [];
const end = performance.now() + 1000 * Number(seconds);
while (performance.now() < end) {
  const startedAt = performance.now();
  const request = get({ port, host: '127.0.0.1', agent: false });
  const [response] = await once(request, 'response');
  await once(response.resume(), 'end');
  durations.push(performance.now() - startedAt);
}
durations.sort((a, b) => a - b);
process.send?.(durations[Math.floor(0.99 * durations.length)]);
process.disconnect();
