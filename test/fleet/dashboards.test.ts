import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { projectRoot } from '../../src/paths.ts';
import { fillShelf } from '../support/buyers.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import {
  asRegex,
  type Expression,
  expressionsOf,
  interpolate,
  labelQueriesOf,
  needsNativeHistograms,
  readDashboards,
} from '../support/dashboards.ts';
import { fillDisk, type TestDatabase, testDatabase } from '../support/database.ts';
import { startK6Page } from '../support/k6.ts';
import { startProgram } from '../support/program.ts';
import { type Course, type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { type Proxy as Network, startProxy } from '../support/proxy.ts';
import { freePort } from '../support/system.ts';
import { CUSTOMER, createVisitor, DECLINED_CARD, hiddenFields, PIX_BUYER } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';

const dashboards = [...readDashboards().values()];
/** Those of native histograms: test/fleet/native-fleet.test.ts. */
const expressions = dashboards.flatMap(expressionsOf).filter((each) => !needsNativeHistograms(each));

const SCRAPE_SECONDS = 1;
const STEP_SECONDS = 1;
/** What Grafana makes of `$__rate_interval` in a graph with a point every 5 seconds: these and a scrape. */
const RATE_INTERVAL = `${5 + SCRAPE_SECONDS}s`;
/** For each condition, on a machine that is busy with other tests. */
const DEADLINE_MS = 180_000;
/** Form posts of one address that pass in a minute. */
const POSTS = 10;
const PRODUCT = 1;
const SHOPPERS = 3;
const PAUSE_MS = 100;

/**
 * Two instances of the shop on one database behind a network that can be broken, and a Prometheus that scrapes them, beside
 * postgres_exporter and the series of k6.
 */
interface Fleet {
  readonly first: RunningCluster;
  readonly second: RunningCluster;
  readonly database: TestDatabase;
  readonly network: Network;
  readonly prometheus: Prometheus;
  /** Unix time in seconds from which on the expressions are evaluated. */
  readonly since: number;
}

const rules = (name: string) => readFileSync(join(projectRoot, 'monitoring/prometheus/rules', name), 'utf8');

/** The shipped alerts wait for minutes. This one does not, so that the panels of alerts can be seen with one. */
const QUICK_ALERT = {
  groups: [
    {
      name: 'test',
      rules: [{ alert: 'ShopDashboardTest', expr: 'max(shop_db_up) == 0', labels: { severity: 'warning' } }],
    },
  ],
};

async function startFleet(t: TestContext): Promise<Fleet> {
  const database = await testDatabase(t);
  await fillShelf(database.url);
  const network = await startProxy(t, database.url);
  const start = (workers: number) =>
    startCluster(t, {
      workers,
      database: { url: network.url },
      env: { RATE_LIMIT: String(POSTS), TRUST_PROXY: 'true', DB_POOL_MAX: '2', WORKER_HANG_SECONDS: '60' },
    });
  const [first, second, exporter, k6] = await Promise.all([
    start(2),
    start(1),
    startExporter(t, database),
    startK6Page(t),
  ]);
  const instances = [first, second].map(({ opsUrl }) => new URL(opsUrl).host);
  const prometheus = await startPrometheus(t, {
    config: {
      global: { scrape_interval: `${SCRAPE_SECONDS}s`, evaluation_interval: '1s' },
      rule_files: ['rules/*.yml'],
      scrape_configs: [
        { job_name: 'a shop', static_configs: [{ targets: instances }] },
        { job_name: 'postgres', static_configs: [{ targets: [exporter] }] },
        {
          job_name: 'k6',
          static_configs: [{ targets: [k6] }],
          // As by remote write, which adds no labels.
          metric_relabel_configs: [{ action: 'labeldrop', regex: 'job|instance' }],
        },
      ],
    },
    files: {
      // Rules of a slower rhythm would have their first values too late for the test.
      'rules/recording.yml': rules('recording.yml').replace(/^ +interval: .*\n/gm, ''),
      'rules/alerts.yml': rules('alerts.yml'),
      'rules/quick.yml': QUICK_ALERT,
    },
  });
  await prometheus.scraped();
  return { first, second, database, network, prometheus, since: Date.now() / 1000 };
}

/** @returns its address */
async function startExporter(t: TestContext, { url }: TestDatabase): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`;
  const program = 'prometheus-postgres-exporter';
  const settings = `DATA_SOURCE_NAME=${url}?sslmode=disable`;
  await startProgram(t, 'env', [settings, program, `--web.listen-address=${address}`], {
    package: program,
    ready: async () => (await fetch(`http://${address}/metrics`)).ok,
  });
  return address;
}

let addresses = 0;

/** A shopper from an address of their own, since the rate limit counts addresses. */
function shopperOf({ shopUrl }: RunningCluster) {
  const visitor = createVisitor(shopUrl);
  const from = { 'x-forwarded-for': `10.0.${Math.floor(addresses / 250)}.${(addresses++ % 250) + 1}` };
  return {
    get: (path: string) => visitor.get(path, from),
    post: (path: string, fields: Record<string, string | number>, headers: Record<string, string> = {}) =>
      visitor.post(path, fields, { ...from, ...headers }),
  };
}
type Shopper = ReturnType<typeof shopperOf>;

async function fillCart(shopper: Shopper) {
  await shopper.get('/');
  await shopper.get(`/detail/${PRODUCT}`);
  await shopper.post(`/add_to_cart/${PRODUCT}`, { quantity: 1 });
  await shopper.get('/cart');
  return hiddenFields(await shopper.get('/checkout'));
}

async function payByCard(shopper: Shopper, number = CUSTOMER.card_number): Promise<void> {
  const hidden = await fillCart(shopper);
  const { location } = await shopper.post('/checkout', { ...CUSTOMER, ...hidden, card_number: number });
  if (location) await shopper.get(location);
}

async function payByPix(shopper: Shopper, outcome: 'paid' | 'expired'): Promise<void> {
  const hidden = await fillCart(shopper);
  const { location } = await shopper.post('/checkout', { ...PIX_BUYER, ...hidden });
  if (!location?.startsWith('/pix/')) return;
  await shopper.post(`${location}/simulation`, { outcome });
  await shopper.get(location);
}

async function makeMistakes(shopper: Shopper): Promise<void> {
  await shopper.post(`/add_to_cart/${PRODUCT}`, { quantity: 'abc' });
  await shopper.get('/detail/9999');
  await shopper.post(`/add_to_cart/${PRODUCT}`, { quantity: 1 }, { origin: 'https://evil.example' });
  await shopper.post('/checkout', { ...CUSTOMER, ...(await fillCart(shopper)), total_cents: 1 });
  for (let i = 0; i < POSTS; i++) await shopper.post(`/add_to_cart/${PRODUCT}`, { quantity: 1 });
}

const JOURNEYS: readonly ((shopper: Shopper) => Promise<void>)[] = [
  payByCard,
  (shopper) => payByPix(shopper, 'paid'),
  (shopper) => payByPix(shopper, 'expired'),
  (shopper) => payByCard(shopper, DECLINED_CARD),
  makeMistakes,
];

/** Sends shoppers into both instances until the test ends. Any answer is fine: faults are on. */
function startShoppers(t: TestContext, { first, second }: Fleet): void {
  let open = true;
  async function shop(turn: number): Promise<void> {
    for (let i = turn; open; i++) {
      const journey = JOURNEYS[i % JOURNEYS.length] as (typeof JOURNEYS)[number];
      await journey(shopperOf(i % 2 === 0 ? first : second)).catch(() => {});
      await sleep(PAUSE_MS);
    }
  }
  const all = Promise.all(Array.from({ length: SHOPPERS }, (_, turn) => shop(turn)));
  whenDone(t, async () => {
    open = false;
    await all;
  });
}

/** The series of an expression: over the time since a moment, or now, as its panel asks for them. */
async function evaluate(
  { prometheus, since }: Fleet,
  { expr, instant }: Expression,
  values: Readonly<Record<string, string>>,
  start = since,
): Promise<Course[]> {
  const now = Date.now() / 1000;
  const text = interpolate(expr, {
    ...values,
    __rate_interval: RATE_INTERVAL,
    __range: `${Math.ceil(now - since) + SCRAPE_SECONDS}s`,
  });
  if (!instant) return prometheus.queryRange(text, start, now, STEP_SECONDS);
  return (await prometheus.query(text)).map(({ labels, value, time }) => ({ labels, points: [[time, value]] }));
}

/** Waits until each expression has a number. */
async function assertData(fleet: Fleet, values: Readonly<Record<string, string>>, from = expressions): Promise<void> {
  // Panels and dashboards share some.
  let missing = [...new Map(from.map((each) => [each.expr, each])).values()];
  const failures = new Map<Expression, unknown>();
  await until(
    'all expressions have data',
    async () => {
      const still: Expression[] = [];
      for (const each of missing) {
        const courses = await evaluate(fleet, each, values).catch((error) => {
          failures.set(each, error);
          return [];
        });
        if (!courses.some(({ points }) => points.some(([, value]) => !Number.isNaN(value)))) still.push(each);
      }
      missing = still;
      return missing.length === 0;
    },
    DEADLINE_MS,
  ).catch((error) => {
    const named = missing.map((each) => `${each.where}: ${each.expr} ${failures.get(each) ?? ''}`);
    throw new Error([error.message, ...named].join('\n'));
  });
}

/** All instances and routes, as Grafana writes it for a variable with `allValue`. */
const ALL = { job: '.+', instance: '.+', route: '.+' };

/** What a panel shows while a fault is on. */
interface Sign {
  /** Title of the panel, in all dashboards that have it, or name of the annotation. */
  readonly panel: string;
  /** Of the query, A first. */
  readonly query?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** The value, at some moment since the fault was turned on. */
  readonly is: (value: number) => boolean;
}

interface Fault {
  readonly name: string;
  /** @returns turns it off */
  turnOn(fleet: Fleet): Promise<() => unknown>;
  readonly signs: readonly Sign[];
}

const above = (limit: number) => (value: number) => value > limit;
const zero = (value: number) => value === 0;

/** The panels that say no more than "all is well" without their fault. Faults that do not disturb one another are on together. */
const FAULTS: readonly (readonly Fault[])[] = [
  [
    {
      name: 'a worker is killed',
      async turnOn({ first }) {
        const { workers } = await first.status();
        process.kill(workers[0]?.pid as number, 'SIGKILL');
        return () => {};
      },
      signs: [
        { panel: 'annotation Troca de worker', labels: { reason: 'signal' }, is: above(0) },
        { panel: 'Workers trocados no período', is: above(0) },
        { panel: 'Trocas de workers por motivo, em 10 min', labels: { reason: 'signal' }, is: above(0) },
        { panel: 'Trocas de workers por instância, em 10 min', is: above(0) },
        { panel: 'Erros por segundo, por tipo', labels: { type: 'worker_crash' }, is: above(0) },
      ],
    },
    {
      name: 'a worker is suspended',
      async turnOn({ second }) {
        const { workers } = await second.status();
        const pid = workers[0]?.pid as number;
        process.kill(pid, 'SIGSTOP');
        return () => process.kill(pid, 'SIGCONT');
      },
      signs: [{ panel: 'Idade das métricas por worker', is: above(2) }],
    },
    {
      name: 'two transactions wait for each other',
      async turnOn({ database }) {
        const clients = [0, 1].map(() => new pg.Client({ connectionString: database.url, query_timeout: DEADLINE_MS }));
        for (const client of clients) {
          await client.connect();
          // The transaction that PostgreSQL ends lets its locks go; a session would keep them.
          await client.query('begin');
        }
        const lock = (client: pg.Client | undefined, key: number) =>
          client?.query('select pg_advisory_xact_lock($1)', [key]);
        const [one, two] = clients;
        await lock(one, 1);
        await lock(two, 2);
        const outcomes = await Promise.allSettled([lock(one, 2), lock(two, 1)]);
        assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 1, 'PostgreSQL ends one of them');
        for (const client of clients) await client.end();
        return () => {};
      },
      signs: [
        { panel: 'Impasses no período', is: above(0) },
        { panel: 'Travas e impasses', query: 'B', is: above(0) },
      ],
    },
  ],
  [
    {
      name: 'another transaction holds the rows of the products',
      async turnOn({ database: { knex } }) {
        const transaction = await knex.transaction();
        // As orders lock them. `for update` would stop carts too, which refer to products.
        await transaction('products').forNoKeyUpdate().select('id');
        return () => transaction.rollback();
      },
      signs: [
        { panel: 'Travas', query: 'A', is: above(0) },
        { panel: 'Travas', query: 'B', is: above(0.05) },
        { panel: 'Sessões à espera de trava', is: above(0) },
        { panel: 'Travas e impasses', query: 'A', is: above(0) },
        { panel: 'Transação mais longa', is: above(1) },
        { panel: 'Transação mais longa no tempo', is: above(1) },
        { panel: 'Tentativas que falharam, 5 min', is: above(0) },
        {
          panel: 'Operações do banco, p95 por instância (as 10 mais lentas)',
          labels: { operation: 'lock' },
          is: above(0.05),
        },
        { panel: 'Fase mais lenta agora', labels: { phase: 'commit' }, is: above(0.05) },
      ],
    },
  ],
  [
    {
      name: 'the database has no disk space',
      turnOn: ({ database: { knex } }) => fillDisk(knex, 'cart_items'),
      signs: [{ panel: 'Disco cheio', is: above(0) }],
    },
  ],
  [
    {
      name: 'the code asks for a table that is not there',
      async turnOn({ database: { knex } }) {
        await knex.schema.renameTable('cart_items', 'cart_items_gone');
        return () => knex.schema.renameTable('cart_items_gone', 'cart_items');
      },
      signs: [
        { panel: 'Erros por segundo, por tipo', labels: { type: 'internal' }, is: above(0) },
        { panel: 'Páginas por segundo, por classe de resposta', labels: { class: '5xx' }, is: above(0) },
        { panel: 'Erros agora', is: above(0.01) },
        { panel: 'Orçamento de erros: velocidade do consumo', query: 'A', is: above(1) },
        { panel: 'Orçamento de erros que resta', is: (value) => value < 1 },
        { panel: 'Disponibilidade, 30 dias', is: (value) => value < 1 },
      ],
    },
  ],
  [
    {
      name: 'the database is silent',
      async turnOn({ first, network }) {
        const shopper = shopperOf(first);
        await fillCart(shopper);
        network.block();
        let open = true;
        // More than a worker serves: the rest is refused at once.
        const crowd = Array.from({ length: 60 }, async () => {
          while (open) {
            await shopper.get('/cart').catch(() => {});
            await sleep(PAUSE_MS);
          }
        });
        return async () => {
          open = false;
          network.unblock();
          await Promise.all(crowd);
        };
      },
      signs: [
        { panel: 'O banco responde?', is: zero },
        { panel: 'O banco responde, por instância', is: zero },
        { panel: 'Instâncias que alcançam o banco', is: zero },
        { panel: 'Requisições à espera de conexão, por instância', is: above(0) },
        { panel: 'Pool de conexões', query: 'A', labels: { state: 'pending' }, is: above(0) },
        { panel: 'Requisições em andamento, por instância', is: above(10) },
        { panel: 'Idade do catálogo por instância', is: above(1) },
        { panel: 'Erros por segundo, por tipo', labels: { type: 'database' }, is: above(0) },
        { panel: 'Erros por segundo, por tipo', labels: { type: 'overload' }, is: above(0) },
        { panel: 'Alertas', labels: { alertname: 'ShopDashboardTest' }, is: above(0) },
        { panel: 'Alertas disparados', is: above(0) },
      ],
    },
  ],
  [
    {
      name: 'an instance is gone',
      async turnOn({ second }) {
        await second.stop('SIGKILL');
        return () => {};
      },
      signs: [
        { panel: 'Instâncias sem resposta', is: above(0) },
        { panel: 'Respostas ao Prometheus', is: zero },
      ],
    },
  ],
];

/** Waits until the panels show a fault. */
async function assertSigns(fleet: Fleet, { name, turnOn, signs }: Fault): Promise<void> {
  const start = Date.now() / 1000;
  const turnOff = await turnOn(fleet);
  try {
    for (const { panel, query, labels = {}, is } of signs) {
      const asked = expressions.filter(
        ({ where }) => where.endsWith(`: ${panel}`) || where.includes(`: ${panel} (${query ?? ''}`),
      );
      assert.ok(asked.length > 0, `no panel ${panel}`);
      for (const each of asked) {
        await until(
          `${each.where} ${JSON.stringify(labels)} shows that ${name}`,
          async () =>
            (await evaluate(fleet, each, ALL, start)).some(
              (course) =>
                Object.entries(labels).every(([label, value]) => course.labels[label] === value) &&
                course.points.some(([, value]) => is(value)),
            ),
          DEADLINE_MS,
        );
      }
    }
  } finally {
    await turnOff();
  }
}

test('every query of the dashboards has data on a loaded fleet, and each fault shows where it should', async (t) => {
  let phaseMs = performance.now();
  function note(what: string): void {
    t.diagnostic(`${what}: ${Math.round(performance.now() - phaseMs)} ms`);
    phaseMs = performance.now();
  }
  const fleet = await startFleet(t);
  note('two instances and Prometheus have started');
  startShoppers(t, fleet);

  const mistakes = ['validation', 'not_found', 'conflict', 'forbidden', 'payment_declined', 'rate_limited'];
  await assertSigns(fleet, {
    name: 'shoppers make mistakes',
    turnOn: async () => () => {},
    signs: mistakes.map((type) => ({ panel: 'Erros por segundo, por tipo', labels: { type }, is: above(0) })),
  });

  // These have nothing to show before their fault, which comes below.
  const dark = ['annotation Troca de worker', 'Alertas (A)', 'Travas (B)'].map((name) => `: ${name}`);
  for (const name of dark)
    assert.ok(
      expressions.some(({ where }) => where.endsWith(name)),
      name,
    );
  const lit = expressions.filter(({ where }) => !dark.some((name) => where.endsWith(name)));
  await assertData(fleet, ALL, lit);
  note('every query has data');

  // The variables offer values, and with several of them chosen there is data as well.
  const offered = new Map<string, Set<string>>();
  for (const { name, selector, label } of dashboards.flatMap(labelQueriesOf)) {
    const found = (await fleet.prometheus.series(interpolate(selector, ALL))).map((labels) => labels[label]);
    offered.set(name, new Set(found.filter((value) => value !== undefined)));
  }
  assert.deepEqual([...(offered.get('job') ?? [])], ['a shop']);
  assert.equal(offered.get('instance')?.size, 2);
  assert.ok(offered.get('route')?.has('/checkout') && !offered.get('route')?.has('/livez'));
  const chosen = Object.fromEntries([...offered].map(([name, values]) => [name, asRegex([...values])]));
  await assertData(fleet, chosen, lit);
  note('and with chosen instances');

  for (const faults of FAULTS) {
    await Promise.all(faults.map((fault) => assertSigns(fleet, fault)));
    note(faults.map(({ name }) => name).join(', '));
  }
});
