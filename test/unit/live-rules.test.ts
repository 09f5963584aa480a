import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ERROR_TYPES } from '../../src/instrument/label-values.ts';
import { RUNBOOK } from '../../src/ops/live/errors.ts';
import type { Facts } from '../../src/ops/live/facts.ts';
import { isPage } from '../../src/ops/live/keys.ts';
import type { LampName } from '../../src/ops/live/model.ts';
import { RULES, sentence } from '../../src/ops/live/rule-texts.ts';
import { isBurst, judge, lampsOf, RULES_OF_LAMPS, verdictOf } from '../../src/ops/live/rules.ts';
import { projectRoot } from '../../src/paths.ts';
import { businessRoutes } from '../../src/shop/routes.ts';
import { shopRoutes } from '../../src/web/routes.ts';

const SERVING = { state: 'serving', restarts: 0 } as const;
const DOWN = { state: 'down', restarts: 3 } as const;

/** A shop with two workers on four cores, with people in it, in which nothing is wrong. */
const WELL: Facts = {
  workers: [SERVING, SERVING],
  people: 15,
  databaseUp: true,
  databaseDiskFull: false,
  operations: [
    { operation: 'insert', table: 'orders', count: 9, seconds: 0.006 },
    { operation: 'select', table: 'carts', count: 90, seconds: 0.001 },
  ],
  waiting: 0,
  serverConnections: { open: 12, max: 100 },
  catalogueAgeSeconds: 0.2,
  checkout: { count: 9, seconds: 0.05, spent: { app: 0.2, db: 0.3, db_wait: 0, payment: 0.5 } },
  payment: { count: 9, seconds: 0.021 },
  payments: { failed: 0, all: 9 },
  newFailedPayments: 0,
  unsettledPayments: 0,
  codeTimes: [{ route: '/cart', count: 40, seconds: 0.003 }],
  pages: { count: 400, p50: 0.021, p95: 0.05 },
  slowestRoute: '/checkout',
  errors: { validation: 4 },
  newErrors: { validation: 1 },
  failingRoute: '',
  faultyRoute: '',
  restarts: { exit: 1, reload: 2 },
  lags: [
    { worker: 1, seconds: 0.012 },
    { worker: 2, seconds: 0.011 },
  ],
  peakLagSeconds: 0.03,
  ages: [
    { worker: 2, seconds: 0.9 },
    { worker: 1, seconds: 0.4 },
  ],
  peakAgeSeconds: 1.1,
  heapGrowths: [
    { worker: 2, bytes: 16_000_000 },
    { worker: 1, bytes: 9_000_000 },
  ],
  hostCpu: 0.3,
  cores: 4,
  othersCpu: 0.2,
  workerCpu: [0.2, 0.1],
  requestRate: 20,
  visits: { withoutCookie: 30, all: 400 },
};

/** The rule that lit each lamp, and what it blames. */
function lit(changes: Partial<Facts>): Partial<Record<LampName, string>> {
  const lamps = lampsOf({ ...WELL, ...changes }).filter(({ level }) => level !== 'good');
  return Object.fromEntries(lamps.map(({ name, rule, blame }) => [name, blame ? `${rule}: ${blame}` : rule]));
}

const verdict = (changes: Partial<Facts>) => {
  const facts = { ...WELL, ...changes };
  return verdictOf(facts, lampsOf(facts));
};

const slowOperation = { operation: 'insert', table: 'orders', count: 5, seconds: 1.2 };

test('one cause lights one lamp', async (t) => {
  const cases: [cause: string, facts: Partial<Facts>, lamps: Partial<Record<LampName, string>>][] = [
    ['nothing', {}, {}],
    [
      'the database is down, and so fails all that uses it',
      {
        databaseUp: false,
        people: null,
        serverConnections: null,
        errors: { database: 200 },
        newErrors: { database: 90 },
        catalogueAgeSeconds: 60,
        payments: { failed: 9, all: 9 },
        checkout: { count: 9, seconds: 0.4, spent: { app: 0.5, db: 0, db_wait: 0.5, payment: 0 } },
      },
      { database: 'db_down' },
    ],
    [
      'the disk of the database is full',
      { databaseDiskFull: true, newErrors: { database: 9 } },
      { database: 'db_disk_full' },
    ],
    [
      'orders wait for locked rows, the pool is empty and pages are refused',
      { operations: [slowOperation, ...WELL.operations], waiting: 8, newErrors: { overload: 20, database: 3 } },
      { database: 'db_slow: insert orders' },
    ],
    [
      'every query is slow, and so is the simulated provider, which keeps its books there',
      {
        operations: WELL.operations.map((each) => ({ ...each, seconds: 0.6 })),
        payment: { count: 9, seconds: 0.7 },
      },
      { database: 'db_slow: insert orders' },
    ],
    ['quick queries, too few connections', { waiting: 5, newErrors: { database: 9 } }, { database: 'db_pool' }],
    ['the database fails now and then', { newErrors: { database: 3 } }, { database: 'db_errors' }],
    [
      'the server has hardly a connection left',
      { serverConnections: { open: 95, max: 100 } },
      { database: 'db_connections' },
    ],
    ['the catalogue is old', { catalogueAgeSeconds: 20 }, { database: 'db_catalogue' }],
    [
      'the payment provider hangs, and checkouts are refused in their line',
      {
        payment: { count: 9, seconds: 1.007 },
        payments: { failed: 9, all: 9 },
        checkout: { count: 20, seconds: 1.2, spent: { app: 0.01, db: 0.02, db_wait: 0, payment: 0.97 } },
        newErrors: { overload: 40 },
      },
      { payment: 'payment_slow' },
    ],
    [
      'the payment provider refuses at once',
      { payments: { failed: 9, all: 10 }, newErrors: { overload: 9 } },
      { payment: 'payment_failing' },
    ],
    [
      'some payments fail, and most succeed',
      { payments: { failed: 4, all: 20 }, newFailedPayments: 5, newErrors: { overload: 5 } },
      {},
    ],
    [
      'payments have failed some minutes ago, and a crowd comes',
      { payments: { failed: 40, all: 200 }, newErrors: { overload: 30 } },
      { machine: 'machine_load' },
    ],
    ['payments are left without an end', { unsettledPayments: 2 }, { payment: 'payment_unsettled' }],
    [
      'a worker hangs, and what it had under way looks slow',
      {
        ages: [
          { worker: 2, seconds: 4 },
          { worker: 1, seconds: 0.4 },
        ],
        peakLagSeconds: 3,
        operations: [slowOperation, ...WELL.operations],
        payment: { count: 4, seconds: 1.1 },
        newErrors: { database: 4, overload: 4 },
      },
      { code: 'code_blocked: 2' },
    ],
    [
      'code blocks one event loop again and again',
      {
        lags: [
          { worker: 1, seconds: 0.4 },
          { worker: 2, seconds: 0.011 },
        ],
        peakLagSeconds: 0.5,
        workerCpu: [1, 0.1],
        codeTimes: [{ route: '/shop', count: 40, seconds: 0.4 }],
        operations: [{ ...slowOperation, seconds: 0.5 }],
      },
      { code: 'code_blocked: 1' },
    ],
    [
      'code blocked an event loop for some seconds, and a query waited for it',
      {
        ages: [
          { worker: 1, seconds: 3.4 },
          { worker: 2, seconds: 0.4 },
        ],
        peakAgeSeconds: 3.4,
        operations: [{ ...slowOperation, seconds: 0.6 }],
      },
      { code: 'code_blocked: 1' },
    ],
    ['the block is over, and its queries are not forgotten', { peakAgeSeconds: 3.4, operations: [slowOperation] }, {}],
    [
      'the heap of a worker grows',
      {
        heapGrowths: [
          { worker: 1, bytes: 41_000_000 },
          { worker: 2, bytes: 18_000_000 },
        ],
      },
      { code: 'code_memory: 1' },
    ],
    [
      'the code of one route is slow',
      { codeTimes: [{ route: '/shop', count: 40, seconds: 0.3 }, ...WELL.codeTimes] },
      { code: 'code_slow: /shop' },
    ],
    [
      'an error that no code foresaw',
      { errors: { internal: 1 }, faultyRoute: '/shop' },
      { code: 'code_errors: /shop' },
    ],
    [
      'a worker ends by a bug, and its place is empty',
      { restarts: { exception: 2 }, workers: [SERVING, DOWN], errors: { worker_crash: 2 } },
      { code: 'code_crash: exception' },
    ],
    [
      'a worker was taken out because it hung, and its successor hangs',
      {
        restarts: { hang: 1 },
        ages: [
          { worker: 1, seconds: 5 },
          { worker: 2, seconds: 0.4 },
        ],
        errors: { worker_crash: 1 },
      },
      { code: 'code_crash: hang' },
    ],
    [
      'a worker is killed from outside',
      { restarts: { signal: 1 }, errors: { worker_crash: 1 } },
      { machine: 'machine_killed' },
    ],
    ['no process can be made', { workers: [SERVING, DOWN] }, { machine: 'machine_workers' }],
    [
      'other programs take the machine',
      {
        hostCpu: 1,
        lags: [
          { worker: 1, seconds: 0.3 },
          { worker: 2, seconds: 0.2 },
        ],
        peakLagSeconds: 0.6,
        codeTimes: [{ route: '/shop', count: 40, seconds: 0.7 }],
        operations: WELL.operations.map((each) => ({ ...each, seconds: 0.4 })),
      },
      { machine: 'machine_cpu' },
    ],
    [
      'other programs take a quick machine, on which the shop hardly waits',
      { hostCpu: 1, othersCpu: 0.9 },
      { machine: 'machine_cpu' },
    ],
    ['other programs use much of the machine, and there is time left', { hostCpu: 0.8, othersCpu: 0.7 }, {}],
    ['the machine is busy, and no request waits for it', { hostCpu: 1 }, {}],
    [
      'requests that cost little wait now and then on a busy machine',
      { hostCpu: 1, workerCpu: [0.1, 0.1], requestRate: 20, codeTimes: [{ route: '/shop', count: 40, seconds: 0.3 }] },
      {},
    ],
    [
      'one route is slow on a busy machine, and the others are not',
      {
        hostCpu: 1,
        workerCpu: [0.1, 0.1],
        requestRate: 20,
        codeTimes: [
          { route: '/checkout', count: 9, seconds: 0.3 },
          { route: '/shop', count: 40, seconds: 0.01 },
        ],
      },
      { code: 'code_slow: /checkout' },
    ],
    [
      'requests that cost much fill the machine',
      { hostCpu: 1, workerCpu: [1, 1], requestRate: 8, codeTimes: [{ route: '/shop', count: 40, seconds: 0.3 }] },
      { code: 'code_slow: /shop' },
    ],
    [
      'many requests, more than the workers can serve, on a machine with more cores',
      {
        hostCpu: 0.6,
        workerCpu: [1, 1],
        requestRate: 1500,
        lags: [
          { worker: 1, seconds: 0.3 },
          { worker: 2, seconds: 0.3 },
        ],
        peakLagSeconds: 0.5,
        newErrors: { overload: 300 },
      },
      { machine: 'machine_load' },
    ],
    [
      'a worker is stopped on a machine without time, for longer than that explains',
      {
        hostCpu: 1,
        ages: [
          { worker: 2, seconds: 12 },
          { worker: 1, seconds: 0.4 },
        ],
        lags: [
          { worker: 2, seconds: 0.5 },
          { worker: 1, seconds: 0.3 },
        ],
      },
      { code: 'code_blocked: 2', machine: 'machine_cpu' },
    ],
    [
      'the only core is blocked by code, and not by other programs',
      {
        cores: 1,
        hostCpu: 1,
        workers: [SERVING],
        ages: [{ worker: 1, seconds: 5 }],
        lags: [{ worker: 1, seconds: 0.011 }],
      },
      { code: 'code_blocked: 1' },
    ],
  ];
  for (const [cause, facts, lamps] of cases) {
    await t.test(cause, () => assert.deepEqual(lit(facts), lamps));
  }
});

test('a worker that was killed because it hung is bad while its successor hangs, and a warning after that', () => {
  const hung = { restarts: { hang: 1 }, errors: { worker_crash: 1 } };
  assert.equal(verdict({ ...hung, ages: [{ worker: 1, seconds: 5 }] }).level, 'bad');
  assert.equal(verdict(hung).level, 'warning');
});

test('two causes light two lamps', () => {
  assert.deepEqual(
    lit({ operations: [slowOperation, ...WELL.operations], errors: { internal: 2 }, faultyRoute: '/contact' }),
    { database: 'db_slow: insert orders', code: 'code_errors: /contact' },
  );
});

test('a verdict names the checkout first, then what is worst', () => {
  const well = verdict({});
  assert.deepEqual([well.level, well.rule, well.numbers], ['good', 'well', { people: 15, seconds: 0.021 }]);
  assert.equal(sentence(well, 'pt'), 'Tudo bem: 15 pessoas na loja, páginas em 21 ms');
  assert.equal(verdict({ pages: { count: 0, p50: null, p95: null } }).rule, 'quiet');

  const hanging = verdict({
    operations: [slowOperation, ...WELL.operations],
    checkout: { count: 9, seconds: 1.8, spent: { app: 0.01, db: 0.94, db_wait: 0.04, payment: 0.01 } },
    errors: { internal: 3 },
  });
  assert.deepEqual([hanging.level, hanging.rule, hanging.runbook], ['bad', 'checkout_slow', 'the-database-is-slow']);
  assert.match(sentence(hanging, 'pt'), /^A finalização trava: 1,8 s, 94\s?% no banco de dados$/);
  const [code, database] = lampsOf({ ...WELL, operations: [slowOperation] });
  assert.deepEqual([code?.level, database?.level], ['good', 'warning']);
  const hangs = { count: 9, seconds: 1.8, spent: { app: 0, db: 1, db_wait: 0, payment: 0 } };
  assert.equal(lampsOf({ ...WELL, operations: [slowOperation], checkout: hangs })[1]?.level, 'bad');
  assert.equal(sentence(hanging, 'en'), 'The checkout hangs: 1.8 s, 94% in the database');

  assert.equal(verdict({ databaseUp: false, errors: { internal: 3 } }).rule, 'db_down');
  assert.equal(verdict({ errors: { overload: 20 }, newErrors: { overload: 1 } }).rule, 'server_errors');
  const release = verdict({ errors: { internal: 20 }, newErrors: { internal: 4 }, faultyRoute: '/shop' });
  assert.deepEqual([release.level, release.rule, release.blame], ['bad', 'code_errors', '/shop']);
  assert.equal(verdict({ errors: { database: 20 }, newErrors: {} }).rule, 'well', 'the failures are over');
  assert.equal(verdict({ pages: { count: 400, p50: 0.1, p95: 0.9 } }).rule, 'pages_slow');
  assert.equal(verdict({ restarts: { signal: 1 } }).rule, 'machine_killed');
});

test('a shop without a worker that serves is down, or has just begun', () => {
  assert.equal(verdict({ workers: [DOWN, DOWN] }).rule, 'not_serving');
  assert.equal(verdict({ workers: [{ state: 'starting', restarts: 0 }] }).rule, 'starting');
  assert.equal(verdict({ workers: [{ state: 'starting', restarts: 4 }] }).rule, 'not_serving');
});

test('little traffic says nothing', () => {
  const changes = {
    pages: { count: 19, p50: 0.1, p95: 2 },
    errors: { overload: 2 },
    newErrors: { overload: 2, database: 2 },
  };
  assert.deepEqual(lit(changes), {});
  assert.equal(verdict(changes).level, 'good');
});

test('old numbers say nothing', () => {
  for (const [facts, age] of [
    [WELL, 6],
    [null, 0],
  ] as const) {
    const { verdict, lamps } = judge(facts, age);
    assert.equal(verdict.level, 'unknown');
    assert.ok(lamps.every(({ level }) => level === 'unknown'));
  }
  assert.equal(judge(WELL, 1).verdict.level, 'good');
});

test('programs without cookies make a burst when they are many, and more than the people', () => {
  const burst = (withoutCookie: number, all: number) => isBurst({ ...WELL, visits: { withoutCookie, all } });
  assert.ok(burst(5000, 6000));
  assert.ok(!burst(5000, 20_000));
  assert.ok(!burst(60, 60));
});

test('each rule has its text, and each runbook is a heading', () => {
  const runbook = readFileSync(join(projectRoot, 'docs/operations.md'), 'utf8');
  const anchors = new Set(
    Array.from(runbook.matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
  const rules = RULES_OF_LAMPS.flatMap((lamp) => lamp.rules);
  for (const { name, runbook: anchor } of rules) {
    assert.ok(name in RULES, name);
    assert.ok(anchors.has(anchor), `${name}: ${anchor}`);
  }
  for (const type of ERROR_TYPES) assert.ok(anchors.has(RUNBOOK[type]), type);
  const verdicts = [
    verdict({ workers: [DOWN] }),
    verdict({ errors: { overload: 20 }, newErrors: { overload: 1 } }),
    verdict({ pages: { count: 400, p50: 0.1, p95: 0.9 } }),
  ];
  for (const { rule, runbook: anchor } of verdicts) assert.ok(anchors.has(anchor), `${rule}: ${anchor}`);
});

test('the pages are the addresses of the business', () => {
  const pages = new Set(shopRoutes.map(({ route }) => route).filter(isPage));
  assert.deepEqual(pages, new Set(businessRoutes.map(({ path }) => path)));
});
