import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCluster } from '../support/cluster.ts';
import { freePort, temporaryFolder } from '../support/system.ts';
import { createVisitor } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';

/** Debian's nginx in front of the shop. It keeps connections for 60 s by default. */
async function startNginx(t: TestContext, shopUrl: string, headers: string): Promise<string> {
  const folder = await temporaryFolder(t);
  const port = await freePort();
  await mkdir(join(folder, 'logs'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid nginx.pid; error_log stderr error;
     events { worker_connections 512; }
     http {
       access_log off;
       ${temporary.join(' ')}
       upstream shop { server ${new URL(shopUrl).host}; keepalive 256; }
       server {
         listen 127.0.0.1:${port};
         location / {
           proxy_pass http://shop;
           proxy_http_version 1.1;
           proxy_set_header Connection "";
           ${headers}
         }
       }
     }`,
  );
  const nginx = spawn('nginx', ['-p', folder, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  nginx.once('error', (error) => {
    said += `This test needs nginx (apt-get install nginx): ${error.message}`;
  });
  nginx.stderr.on('data', (text) => {
    said += text;
  });
  whenDone(t, async () => {
    if (nginx.exitCode !== null || nginx.pid === undefined) return;
    const exited = once(nginx, 'exit');
    nginx.kill('SIGTERM');
    await exited;
  });
  const origin = `http://127.0.0.1:${port}`;
  await until(
    'nginx answers',
    async () => {
      assert.ok(nginx.exitCode === null && nginx.pid !== undefined, said);
      return (await fetch(`${origin}/livez`)).ok;
    },
    20_000,
  ).catch((error) => {
    throw new Error(`${error.message}\n${said}`);
  });
  return origin;
}

const KEEP_ALIVE_MS = 1_000;
const LANES = 40;

test('no post is lost behind a proxy that keeps idle connections longer than the shop', async (t) => {
  const shop = await startCluster(t, { workers: 2, env: { KEEP_ALIVE_SECONDS: String(KEEP_ALIVE_MS / 1000) } });
  const proxy = await startNginx(t, shop.shopUrl, 'proxy_set_header Host $http_host;');
  const visitor = createVisitor(proxy);
  await visitor.get('/');
  const post = () => visitor.post('/remove_item/1', {});

  const statuses = new Map<number, number>();
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: LANES }, post));
    await sleep(KEEP_ALIVE_MS - LANES / 2);
    // From a little before the end of the idle time to a little after it, over the connections that nginx has kept.
    const answers = await Promise.all(
      Array.from({ length: LANES }, async (_, lane) => {
        await sleep(lane);
        return post();
      }),
    );
    for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  t.diagnostic(JSON.stringify([...statuses]));
  // There is no such item. A busy machine may refuse some requests.
  statuses.delete(503);
  assert.deepEqual([...statuses.keys()], [404]);
});

test("a form behind nginx's default Host is refused with the setting that is needed, and passes with it", async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const trusting = await startCluster(t, { workers: 1, env: { TRUST_PROXY: 'true' } });
  const post = async (proxy: string) => createVisitor(proxy).post('/add_to_cart/1', { quantity: 1 }, { origin: proxy });

  const bare = await startNginx(t, shop.shopUrl, '');
  const refused = await post(bare);
  assert.equal(refused.status, 403);
  assert.match(refused.text, /proxy_set_header Host \$host/);
  const hint = new RegExp(`"hint":"[^"]*${bare}, but it was sent to http://shop:`);
  assert.match(shop.output(), hint);

  assert.equal((await post(await startNginx(t, shop.shopUrl, 'proxy_set_header Host $http_host;'))).status, 302);
  const forwarded =
    'proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-For $remote_addr;';
  assert.equal((await post(await startNginx(t, trusting.shopUrl, forwarded))).status, 302);
});
