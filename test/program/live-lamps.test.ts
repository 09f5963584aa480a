import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import knex, { type Knex } from 'knex';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { type LiveViewer, watchLive } from '../support/live.ts';
import { atCheckout, CUSTOMER } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';

/*
 * Real faults, one at a time. Each lights its own lamp, and no other. On a machine on which the tests' workers really wait
 * for the CPU, a rule of the machine may light too, or that of slow code while the machine still has a little time left.
 */

interface Scene {
  shop: RunningCluster;
  viewer: LiveViewer;
  /** A connection of another program to the shop's database. */
  other: Knex;
}

/** A transaction of another program. It ends at the latest with the test. */
async function hold(t: TestContext, { other }: Scene, lock: (transaction: Knex.Transaction) => PromiseLike<unknown>) {
  const transaction = await other.transaction();
  whenDone(t, async () => {
    if (!transaction.isCompleted()) await transaction.rollback();
  });
  await lock(transaction);
}

async function startScene(t: TestContext): Promise<Scene> {
  const database = await testDatabase(t);
  const shop = await startCluster(t, { workers: 2, database, env: { WORKER_HANG_SECONDS: '60' } });
  const other = knex({ client: 'pg', connection: database.url, pool: { min: 0, max: 1 } });
  whenDone(t, () => other.destroy());
  return { shop, viewer: await watchLive(t, shop), other };
}

const OF_A_BUSY_MACHINE = ['machine_cpu', 'code_slow'];

const litLamps = ({ viewer }: Scene) =>
  viewer
    .frame()
    .lamps.filter(({ level, rule }) => level !== 'good' && !OF_A_BUSY_MACHINE.includes(rule))
    .map(({ name, rule, blame }) => [name, rule, blame].filter(Boolean).join(' '));

/** Shoppers submit the checkout, one after the other, until the condition is met. */
async function whileCheckingOut({ shop }: Scene, condition: () => Promise<unknown>): Promise<void> {
  let isMet = false;
  async function buy(): Promise<void> {
    const { shopper, hidden } = await atCheckout(shop);
    await shopper.post('/checkout', { ...CUSTOMER, ...hidden });
  }
  async function goOnBuying(): Promise<void> {
    // How the shop answers under a fault, or that it does not, is not what is looked at.
    while (!isMet) await buy().catch(() => {});
  }
  const buying = Promise.all([goOnBuying(), goOnBuying(), goOnBuying()]);
  try {
    await condition();
  } finally {
    isMet = true;
    await buying;
  }
}

test('a shop in which all is well lights no lamp, also while people buy', async (t) => {
  const scene = await startScene(t);
  await whileCheckingOut(scene, () =>
    until('ten orders', () => (scene.viewer.value('shop_orders_total{outcome="paid"}') ?? 0) >= 10),
  );
  await until('people are counted', () => (scene.viewer.value('shop_active_sessions') ?? 0) > 0);
  assert.deepEqual(litLamps(scene), []);
  assert.equal(scene.viewer.frame().burst, false);
});

test('a payment provider that hangs lights the payment lamp', async (t) => {
  const scene = await startScene(t);
  await hold(t, scene, (other) => other.raw('lock table simulated_provider_payments in access exclusive mode'));
  await whileCheckingOut(scene, async () => {
    await until('the lamp is lit', () => litLamps(scene).length > 0);
    // On a busy machine, payments may end by their deadlines before enough of them are slow.
    const isPayment = () => assert.match(litLamps(scene).join(), /^payment payment_(slow|failing)$/);
    isPayment();
    await until('the verdict names the checkout', () => scene.viewer.frame().verdict.rule === 'checkout_slow');
    const { verdict } = scene.viewer.frame();
    assert.deepEqual([verdict.blame, verdict.level, verdict.runbook], ['payment', 'bad', 'a-checkout-hangs']);
    isPayment();
  });
});

test('rows that another program holds light the lamp of the database', async (t) => {
  const scene = await startScene(t);
  await hold(t, scene, (other) => other('products').forUpdate().select('id'));
  await whileCheckingOut(scene, async () => {
    await until('the lamp is lit', () => litLamps(scene).length > 0);
    const [lamp = '', ...others] = litLamps(scene);
    assert.match(lamp, /^database db_slow (lock|insert|update) \w+$/);
    assert.deepEqual(others, []);
  });
});

test('a worker that is stopped lights the lamp of the code', async (t) => {
  const scene = await startScene(t);
  const [{ pid } = { pid: null }] = (await scene.shop.status()).workers;
  assert.ok(pid);
  process.kill(pid, 'SIGSTOP');
  whenDone(t, () => process.kill(pid, 'SIGCONT'));
  await until('the lamp is lit', () => litLamps(scene).length > 0);
  assert.deepEqual(litLamps(scene), ['code code_blocked 1']);
  assert.equal(scene.viewer.frame().verdict.rule, 'code_blocked');
});
