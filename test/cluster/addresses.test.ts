import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { checkAddresses } from '../../src/cluster/addresses.ts';
import { readConfig } from '../../src/config.ts';

test('where no port is free above the one that is taken, the system is asked for one', async (t) => {
  const last = createServer();
  const taken = await new Promise<boolean>((resolve) => {
    last.once('error', () => resolve(true));
    last.listen(65_535, '127.0.0.1', () => resolve(true));
  });
  assert.ok(taken);
  t.after(() => last.close());
  const config = readConfig({ PORT: '65535', HOST: '127.0.0.1', METRICS_PORT: '0' });
  await assert.rejects(
    checkAddresses(config, 0),
    /127\.0\.0\.1:65535 \(PORT\): another program.* Try: PORT=0 npm start$/,
  );
});
