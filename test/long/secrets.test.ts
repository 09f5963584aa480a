import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Knex } from 'knex';
import { spawnShop, startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/system.ts';
import { CUSTOMER, DECLINED_CARD, type Page } from '../support/visitor.ts';

const SESSION_KEYS = ['the newest key of the test 4f1c', 'an older key of the test 9b2e'];
const METRICS_TOKEN = 'the-token-of-the-test-77aa';

interface Attempt {
  fields: Record<string, string>;
  status: number;
}

/** A CVV is so short that it may turn up by chance. Each way of paying is tried with three of them. */
const CVVS = {
  approved: ['7351', '8264', '9173'],
  declined: ['6428', '5917', '7539'],
  invalid: ['846', '517', '639'],
  failed: ['4872', '3695', '8146'],
};
const NUMBERS = ['5105105105105100', '5105105105105101', DECLINED_CARD];
const EXPIRY = '07/41';

const ACCEPTED = '5105 1051-0510 5100';

const attempts: Attempt[] = [
  ...CVVS.approved.map((cvv) => ({ fields: { card_number: ACCEPTED, cvv }, status: 302 })),
  ...CVVS.declined.map((cvv) => ({ fields: { card_number: DECLINED_CARD, cvv }, status: 422 })),
  ...CVVS.invalid.map((cvv) => ({ fields: { card_number: '5105105105105101', cvv, email: 'wrong' }, status: 422 })),
];

test('no card and no secret is in the database, the logs, the metrics, the status or a page', async (t) => {
  const { knex, connection } = await testDatabase(t);
  const shop = await startCluster(t, {
    workers: 2,
    database: connection,
    env: { LOG_LEVEL: 'trace', SESSION_KEYS: SESSION_KEYS.join(','), METRICS_TOKEN },
  });
  const shown: string[] = [];
  const show = (page: Page) => {
    shown.push(page.text);
    for (const [name, value] of page.headers) shown.push(`${name}: ${value}`, decode(value));
  };

  async function tryToPay({ fields, status }: Attempt): Promise<void> {
    const shopper = shop.visitor();
    show(await shopper.post('/add_to_cart/1', { quantity: 1 }));
    const answer = await shopper.post('/checkout', { ...CUSTOMER, expiry_date: EXPIRY, ...fields });
    assert.equal(answer.status, status, answer.text);
    show(answer);
    if (answer.location) show(await shopper.get(answer.location));
    // The same again, and in fields where cards do not belong.
    show(await shopper.post('/checkout', { ...CUSTOMER, expiry_date: EXPIRY, ...fields }));
    show(await shopper.post('/add_to_cart/999', { ...fields, expiry_date: EXPIRY }));
    show(await shopper.post('/nowhere', { ...fields, expiry_date: EXPIRY }, { accept: 'application/json' }));
  }

  for (const attempt of attempts) await tryToPay(attempt);
  await knex.raw('alter table orders add constraint refuse check (false) not valid');
  for (const cvv of CVVS.failed) await tryToPay({ fields: { card_number: ACCEPTED, cvv }, status: 500 });
  show(await shop.visitor().get('/detail/%zz'));
  // This is logged below info.
  show(await shop.visitor().get('/livez'));
  assert.equal((await knex('orders')).length, CVVS.approved.length);

  const authorization = { authorization: `Bearer ${METRICS_TOKEN}` };
  const read = async (url: string, headers = {}) => (await fetch(url, { headers })).text();
  const places: Record<string, string> = {
    database: await dumpAll(knex),
    log: shop.output(),
    metrics: await read(`${shop.opsUrl}/metrics`, authorization),
    'metrics on the shop port': await read(`${shop.shopUrl}/metrics`, authorization),
    status: await read(`${shop.opsUrl}/status`, authorization),
    'what a stranger reads of the primary': (
      await Promise.all(['/', '/metrics', '/status', '/nowhere'].map((path) => read(`${shop.opsUrl}${path}`)))
    ).join('\n'),
    pages: shown.join('\n'),
  };
  assert.ok(places.database?.includes('FS-'));
  assert.ok(places.log?.includes('"level":20'));
  for (const place of ['metrics', 'metrics on the shop port']) {
    assert.ok(places[place]?.includes('shop_orders_total{outcome="paid"} 3'), place);
  }

  for (const [place, text] of Object.entries(places)) {
    const digits = text.replace(/[ .-]/g, '');
    for (const number of NUMBERS) {
      // The form itself shows the number of the declined card.
      if (place === 'pages' && number === DECLINED_CARD) continue;
      assert.ok(!digits.includes(number), `${number} is in the ${place}`);
    }
    // The last is the format of a stored date. It is no date in the middle of a UUID.
    for (const expiry of [/07\/41/, /07%2F41/, /07\/2041/, /(?<![\da-f])2041-0/]) {
      assert.doesNotMatch(text, expiry, place);
    }
    for (const [outcome, cvvs] of Object.entries(CVVS)) {
      const found = cvvs.filter((cvv) => new RegExp(`(?<![\\w.])${cvv}(?![\\w.])`).test(text));
      assert.ok(found.length < cvvs.length, `the CVV of ${outcome} payments is in the ${place}`);
    }
    const password = new URL(connection.url).password;
    assert.ok(password.length >= 8);
    for (const secret of [...SESSION_KEYS, METRICS_TOKEN, password]) {
      assert.ok(!text.includes(secret), `${secret} is in the ${place}`);
    }
  }
});

test('a failed start tells the reason without the password', async (t) => {
  const { url } = await testDatabase(t);
  const wrong = new URL(url);
  wrong.password = 'a-secret-that-is-wrong';
  const nowhere = new URL(wrong);
  nowhere.pathname = '/no_such_database';
  nowhere.password = new URL(url).password;

  for (const [given, reason] of [
    [wrong.href, /password authentication failed/],
    [nowhere.href, /does not exist/],
    [wrong.href.replace('postgres:', 'mysql:'), /DATABASE_URL must look like/],
  ] as const) {
    const dataDir = await temporaryFolder(t);
    const env = {
      PORT: '0',
      METRICS_PORT: '0',
      HOST: '127.0.0.1',
      WORKERS: '1',
      DATA_DIR: dataDir,
      LOG_LEVEL: 'trace',
    };
    const { child, output } = spawnShop({ ...env, DATABASE_URL: given });
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    assert.match(output(), reason);
    for (const { password } of [wrong, nowhere]) assert.ok(!output().includes(password), output());
  }
});

/** Every row of every table, including tables that the shop does not read. */
async function dumpAll(knex: Knex): Promise<string> {
  const tables: { table_schema: string; table_name: string }[] = await knex('information_schema.tables')
    .whereNotIn('table_schema', ['pg_catalog', 'information_schema'])
    .select('table_schema', 'table_name');
  assert.ok(tables.length >= 7);
  let text = '';
  for (const { table_schema, table_name } of tables) {
    text += `${table_name}: ${JSON.stringify(await knex(table_name).withSchema(table_schema))}\n`;
  }
  return text;
}

/** The content of a cookie. */
function decode(header: string): string {
  const [, value = ''] = /^[^=]+=([^;]*)/.exec(header) ?? [];
  return Buffer.from(value, 'base64').toString('latin1');
}
