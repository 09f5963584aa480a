import assert from 'node:assert/strict';
import { lookup } from 'node:dns/promises';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { checkAddresses } from '../../src/cluster/addresses.ts';
import { readConfig } from '../../src/config.ts';
import { freePort } from '../support/system.ts';
import { whenDone } from '../support/wait.ts';

test('the system chooses the port when no port is free above the one that is taken', async (t) => {
  const last = createServer();
  const taken = await new Promise<boolean>((resolve) => {
    last.once('error', () => resolve(true));
    last.listen(65_535, '127.0.0.1', () => resolve(true));
  });
  assert.ok(taken);
  whenDone(t, () => last.close());
  const config = readConfig({ PORT: '65535', HOST: '127.0.0.1', METRICS_PORT: '0' });
  await assert.rejects(
    checkAddresses(config, 0),
    /127\.0\.0\.1:65535 \(PORT\): another program.* Try: PORT=0 npm start$/,
  );
});

test("one address under two names is reported as such and not as another program's", async () => {
  const port = String(await freePort());
  const check = (HOST: string, METRICS_HOST: string) =>
    checkAddresses(readConfig({ PORT: port, METRICS_PORT: port, HOST, METRICS_HOST }), 0);
  const pairs: [string, string][] = [
    ['127.1', '127.0.0.1'],
    ['127.0.0.1', '127.0.01'],
  ];
  if ((await lookup('localhost')).address === '127.0.0.1') pairs.push(['localhost', '127.0.0.1']);
  for (const [host, metricsHost] of pairs) {
    await assert.rejects(check(host, metricsHost), ({ message }: Error) => {
      const told = `Can't listen on ${metricsHost}:${port} (METRICS_PORT): it is the shop's own address (HOST and PORT). Try: METRICS_PORT=`;
      assert.ok(message.startsWith(told), message);
      return true;
    });
  }
  await check('127.0.0.1', '127.0.0.2');
});
