import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertWholeOrders, fillShelf } from '../support/buyers.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { allSettled, assertMoneyAddsUp } from '../support/payments.ts';
import { freePort } from '../support/system.ts';
import { CUSTOMER, createVisitor, PIX_BUYER } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

/** By hand: `PAYMENT_KILLS=200`. */
const ROUNDS = Number(process.env.PAYMENT_KILLS ?? 6);
const WORKERS = 2;
const BUYERS = 4;
const ATTEMPTS = 3;
/** Each visitor uses any instance. */
const SESSION_KEYS = 'a key that both instances have';
/** Longer than a checkout, so that a kill hits any of its moments. */
const LONGEST_PAUSE_MS = 60;

type Kill = 'worker' | 'frozen worker' | 'primary';

test(`each payment has one order or is cancelled after ${ROUNDS} kills at any moment`, async (t) => {
  const database = await testDatabase(t);
  await fillShelf(database.url);
  // Fixed ports: with PORT=0, a shop whose workers have all died at once gets another port.
  const ports = [await freePort(), await freePort()] as const;
  const start = (place: 0 | 1) => {
    const env = { PORT: String(ports[place]), WORKER_HANG_SECONDS: '2', SESSION_KEYS };
    return startCluster(t, { workers: WORKERS, database, env });
  };
  const shops: [RunningCluster, RunningCluster] = [await start(0), await start(1)];
  const acknowledged: string[] = [];
  let open = true;

  /** Buys again and again. After a failure it submits the same form once more to any instance. */
  async function buy(): Promise<void> {
    while (open) {
      const origins = shops.map(({ shopUrl }) => shopUrl);
      const anyOrigin = () => origins[Math.floor(Math.random() * origins.length)] as string;
      const visitor = createVisitor(anyOrigin());
      let number: string | undefined;
      for (let attempt = 0; attempt < ATTEMPTS && number === undefined; attempt++) {
        try {
          if (attempt === 0) await visitor.post('/add_to_cart/1', { quantity: 1 });
          let { location } = await visitor.post(`${anyOrigin()}/checkout`, Math.random() < 0.5 ? PIX_BUYER : CUSTOMER);
          if (location?.startsWith('/pix/')) {
            const page = location;
            await visitor.post(`${anyOrigin()}${page}/simulation`, { outcome: 'paid' });
            location = (await visitor.get(`${anyOrigin()}${page}`)).location;
          }
          number = /^\/order_confirmation\/(.+)$/.exec(location ?? '')?.[1];
        } catch {
          // A kill cut the request off.
          await sleep(100);
        }
      }
      if (number) acknowledged.push(number);
    }
  }

  async function kill(how: Kill): Promise<void> {
    const place = Math.random() < 0.5 ? 0 : 1;
    const shop = shops[place];
    await sleep(Math.random() * LONGEST_PAUSE_MS);
    if (how === 'primary') {
      await shop.stop('SIGKILL');
      shops[place] = await start(place);
      return;
    }
    const { worker, pid, restarts } = await until('a worker serves', async () => {
      const serving = (await shop.status()).workers.filter(({ state, pid }) => state === 'serving' && pid !== null);
      return serving[Math.floor(Math.random() * serving.length)];
    });
    process.kill(pid as number, how === 'worker' ? 'SIGKILL' : 'SIGSTOP');
    await until('it is replaced', async () =>
      (await shop.status()).workers.some((now) => now.worker === worker && now.restarts > restarts),
    );
  }

  const buyers = Array.from({ length: BUYERS }, buy);
  const kills: Record<Kill, number> = { worker: 0, 'frozen worker': 0, primary: 0 };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const how: Kill = round % 6 === 5 ? 'primary' : round % 6 === 2 ? 'frozen worker' : 'worker';
      const sold = acknowledged.length;
      await kill(how);
      kills[how] += 1;
      await until('the shoppers add more', () => acknowledged.length > sold);
    }
  } finally {
    open = false;
    await Promise.all(buyers);
  }

  await allSettled(database.knex);
  const ends = await assertMoneyAddsUp(database.knex);
  await assertWholeOrders(database.url, acknowledged);
  for (const shop of shops) {
    await until(
      'no payment shows as unsettled',
      async () => (await shop.metrics()).of('shop_payments_unsettled') === 0,
    );
  }
  t.diagnostic(`${ROUNDS} rounds: ${JSON.stringify(kills)}; payments: ${JSON.stringify(ends)}`);
  t.diagnostic(`${acknowledged.length} orders acknowledged`);
});
