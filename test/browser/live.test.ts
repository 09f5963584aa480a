import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import type { Page } from 'playwright-core';
import { startCluster } from '../support/cluster.ts';
import { openPool, testDatabase } from '../support/database.ts';
import { freePort } from '../support/system.ts';
import { PATIENT } from '../support/test-server.ts';
import { BACKPACK } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';
import { accessibilityFaults, openWindow, overflow, PHONE, startBrowser, type Window } from './window.ts';

const TABLET = 768;
const DESKTOP = 1440;

interface ShownNumber {
  metric: string;
  labels: Record<string, string>;
  value: string;
}

/** The numbers that the page shows straight from `/metrics`. */
function shownNumbers(page: Page): Promise<ShownNumber[]> {
  return page.evaluate(`Array.from(document.querySelectorAll('main [data-metric]'), ({ dataset }) => ({
    metric: dataset.metric, labels: JSON.parse(dataset.labels), value: dataset.value }))`);
}

function valueIn({ samples }: Exposition, { metric, labels }: ShownNumber): number | undefined {
  const found = samples.filter(
    ({ name, labels: its }) =>
      name === metric &&
      Object.keys(its).length === Object.keys(labels).length &&
      Object.entries(labels).every(([label, value]) => its[label] === value),
  );
  assert.ok(found.length <= 1, metric);
  return found[0]?.value;
}

/** These change by themselves, without a visitor. */
const RESTLESS =
  /^shop_(cpu|host_cpu|catalogue_age|metrics_worker_age|metrics_series|db_server|db_connections|db_operation|active)|^http_requests/;

/** What the page shows as it is on `/metrics`, of what people and Prometheus rely on; errors appear when they happen. */
const SHOWN_METRICS = [
  ...['shop_active_sessions', 'shop_active_cart_sessions', 'shop_product_views_total', 'shop_cart_additions_total'],
  ...['shop_orders_total', 'shop_order_value_brl_total', 'shop_units_sold_total', 'shop_payments_total'],
  ...['shop_payments_unsettled', 'shop_cpu_usage_ratio', 'shop_host_cpu_usage_ratio', 'http_requests_in_flight'],
  ...['shop_db_up', 'shop_db_connections', 'shop_db_connections_max', 'shop_db_server_connections_max'],
  ...['shop_db_server_transactions_total', 'shop_db_server_rows_total', 'shop_db_server_blocks_total'],
  ...['shop_db_server_deadlocks_total', 'shop_db_server_waiting_locks', 'shop_db_server_size_bytes'],
  ...['shop_db_server_longest_transaction_seconds', 'shop_worker_restarts_total', 'shop_metrics_series'],
];

/** Keys of the elements with a number that is not marked as one of `/metrics`. */
function otherKeys(page: Page): Promise<string[]> {
  return page.evaluate(
    `Array.from(document.querySelectorAll('main [data-key]:not([data-metric])'), (e) => e.dataset.key)`,
  );
}

/** An element with a number, by its key. */
function numberOf(page: Page, key: string) {
  return page.locator(`main [data-key=${JSON.stringify(key)}]`).first();
}

interface ShownBar {
  /** Seconds. */
  from: number;
  to: number;
  count: number;
}

interface ShownHistogram {
  title: string;
  bars: ShownBar[];
  rows: ShownBar[];
  /** The quantiles in the drawing. */
  marks: string[];
  caption: string;
  /** p50 and p95 in the table of routes. */
  quantiles: string[];
}

/** The only open histogram, all of it at one moment. */
async function shownHistogram(page: Page, route: string): Promise<ShownHistogram> {
  const shown = (await page.evaluate(`(() => {
    const texts = (root, selector) => Array.from(root.querySelectorAll(selector), (e) => e.textContent);
    const place = document.querySelector('.histogram');
    const row = document.querySelector('[data-route=${JSON.stringify(route)}]');
    return {
      title: place.querySelector('.histogram__title').textContent,
      bars: texts(place, '.bin title'),
      rows: Array.from(place.querySelectorAll('tbody tr'), (e) => texts(e, 'th, td').join(': ')),
      marks: texts(place, '.quantile-text'),
      caption: place.querySelector('caption').textContent,
      quantiles: texts(row, '.number').slice(-2).map((text, i) => ['p50 ', 'p95 '][i] + text),
    };
  })()`)) as Record<keyof ShownHistogram, string[]>;
  return { ...(shown as unknown as ShownHistogram), bars: shown.bars.map(barOf), rows: shown.rows.map(barOf) };
}

function barOf(text: string): ShownBar {
  const [from = '', to = '', count] = text.split(/ a |: /);
  const seconds = (bound: string) => Number.parseFloat(bound.replace(',', '.')) / (bound.endsWith('ms') ? 1000 : 1);
  return { from: seconds(from), to: seconds(to), count: Number(count) };
}

/** Waits until the browser has the stream and shows its frames. */
async function isLive({ page }: Window): Promise<void> {
  await page.locator('[data-connection="live"]').waitFor();
}

test('the live page shows the numbers of /metrics, and they follow a click in the shop', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 2 });
  const live = await openWindow(browser, shop.opsUrl, { width: DESKTOP });
  const shopper = await openWindow(browser, shop.shopUrl);
  const { page } = live;
  await page.goto('/');
  await isLive(live);

  await t.test('each number straight from /metrics is the same there', async () => {
    await shopper.page.goto('/detail/1');
    let wrong: unknown[] = [];
    await until(
      'all numbers are those of /metrics',
      async () => {
        const [metrics, shown] = [await shop.metrics(), await shownNumbers(page)];
        assert.ok(shown.length > 100, `${shown.length} numbers`);
        const unknown = shown.filter((each) => valueIn(metrics, each) === undefined);
        assert.deepEqual(unknown, []);
        const names = new Set(shown.map(({ metric }) => metric));
        assert.deepEqual(
          SHOWN_METRICS.filter((name) => !names.has(name)),
          [],
        );
        const series = new Set(metrics.samples.map((sample) => sample.series));
        assert.deepEqual(
          (await otherKeys(page)).filter((key) => series.has(key)),
          [],
          'each number of /metrics is marked as one',
        );
        wrong = shown
          .filter(({ metric }) => !RESTLESS.test(metric))
          .filter((each) => !Object.is(Number(each.value), valueIn(metrics, each)));
        return wrong.length === 0;
      },
      20_000,
    ).catch((error) => assert.fail(`${error.message}: ${JSON.stringify(wrong)}`));
  });

  await t.test('a click in the shop moves them', async () => {
    const key = `shop_cart_additions_total{product="${BACKPACK.slug}"}`;
    const before = await numberOf(page, key).getAttribute('data-value');
    await shopper.page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click();
    await until('the addition is shown', async () => {
      return (await numberOf(page, key).getAttribute('data-value')) === String(Number(before) + 1);
    });
    assert.equal(await numberOf(page, key).innerText(), String(Number(before) + 1));
    await until('the visitor is shown', async () => {
      return (await numberOf(page, 'shop_active_cart_sessions').getAttribute('data-value')) === '1';
    });
    await page.locator('[data-verdict]:not([data-level="unknown"])').waitFor();
  });

  await t.test('a page that pauses keeps its numbers until it goes on', async () => {
    const key = `shop_product_views_total{product="${BACKPACK.slug}"}`;
    await page.getByRole('button', { name: 'Pausar' }).click();
    const before = await numberOf(page, key).getAttribute('data-value');
    const other = await openWindow(browser, shop.opsUrl, { width: DESKTOP });
    await other.page.goto('/');
    await shopper.page.goto('/detail/1');
    await until('the view is shown on the other page', async () => {
      return (await numberOf(other.page, key).getAttribute('data-value')) === String(Number(before) + 1);
    });
    assert.equal(await numberOf(page, key).getAttribute('data-value'), before);
    await page.getByRole('button', { name: 'Continuar' }).click();
    await until('the view is shown', async () => {
      return (await numberOf(page, key).getAttribute('data-value')) === String(Number(before) + 1);
    });
    await other.page.context().close();
  });

  await t.test('products are sorted and counted as the reader chooses, and the address keeps it', async () => {
    const names = () => page.locator('[data-products] tbody th').allInnerTexts();
    await page.getByRole('link', { name: 'Produto', exact: true }).click();
    const sorted = (await names()).toSorted((a, b) => a.localeCompare(b, 'pt-BR'));
    assert.deepEqual(await names(), sorted);
    await page.getByRole('link', { name: 'Vistos' }).click();
    assert.equal((await names())[0], BACKPACK.name);
    await page.getByRole('link', { name: 'No carrinho' }).click();
    await page.locator('[data-window="5m"]').click();
    const growth = numberOf(page, `increase(shop_cart_additions_total{product="${BACKPACK.slug}"}[5m])`);
    assert.equal(await growth.innerText(), '1');
    assert.equal(new URL(page.url()).search, '?sort=additions&window=5m');
    await page.reload();
    await isLive(live);
    assert.equal(await growth.innerText(), '1');
    assert.equal((await names())[0], BACKPACK.name);
  });

  await t.test('a chart can be read as a table', async () => {
    const chart = page.getByRole('figure', { name: 'Tempo das páginas' });
    // The table is of the moment when it is opened, and the course of a page that was just loaded is on its way.
    await until('the chart has a course', async () => {
      await chart.getByRole('button').click();
      if ((await chart.locator('thead th').count()) > 0) return true;
      await chart.getByRole('button').click();
      return false;
    });
    assert.deepEqual(await chart.locator('thead th').allInnerTexts(), ['Hora', 'p50', 'p95']);
    assert.match(await chart.locator('tbody').innerText(), /\d+( |,\d )m?s/);
    await chart.getByRole('button').click();
    await chart.locator('canvas').waitFor();
  });

  await t.test('a route shows its histogram in fine bars and as a table, by keyboard', async () => {
    await page.getByRole('button', { name: 'Histograma de /detail/:id' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('.histogram svg').waitFor();
    await page.locator('.histogram summary').focus();
    await page.keyboard.press('Enter');
    // The table of routes is renewed each second, the histogram every five.
    const { title, bars, rows, marks, caption } = await until('its quantiles are those of the table', async () => {
      const shown = await shownHistogram(page, '/detail/:id');
      return shown.marks.slice(0, 2).join() === shown.quantiles.join() && shown;
    });
    const [, count] =
      /^Quanto tempo levam as requisições a \/detail\/:id: (\d+), das [\d:]{8} às [\d:]{8}$/.exec(title) ?? [];
    assert.equal(
      bars.reduce((sum, { count }) => sum + count, 0),
      Number(count),
    );
    for (const { from, to } of bars) assert.ok(to > from && to / from < 1.2, `${from} to ${to}`);
    assert.deepEqual(rows, bars);
    assert.equal(marks.join(' · '), caption);
    assert.match(caption, /^p50 \S+ m?s · p95 \S+ m?s · p99 \S+ m?s$/);
    const ofAnHour = page.waitForResponse(/\/live\/histogram\?.*span=1h/);
    await page.getByRole('button', { name: '1 h' }).click();
    assert.equal((await ofAnHour).status(), 200);
    await page.getByRole('button', { name: '5 min' }).click();
    await page.getByRole('button', { name: 'Histograma de /detail/:id' }).focus();
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('.histogram').count(), 0);
  });

  await t.test('the seven metrics show their lines of /metrics', async () => {
    await page.getByText('As sete métricas').click();
    const article = page.locator('[data-metric-name="shop_cart_additions_total"]');
    await article.getByText(`shop_cart_additions_total{product="${BACKPACK.slug}"} 1`).waitFor();
    assert.match(await article.innerText(), /# HELP shop_cart_additions_total/);
    assert.match(await article.innerText(), new RegExp(`curl .*${new URL(shop.shopUrl).port}/add_to_cart/1`));
    await page.locator('[data-metric-name="http_request_duration_seconds"] svg').waitFor();
    await page.locator('[data-metric-name="shop_db_operation_duration_seconds"] svg').waitFor();
  });

  await t.test('three spans', async () => {
    for (const span of ['1 h', '6 h', '5 min']) {
      const answered = page.waitForResponse(/\/live\/course/);
      await page.getByRole('button', { name: span }).click();
      assert.equal((await answered).status(), 200);
      assert.equal(await page.getByRole('button', { name: span }).getAttribute('aria-pressed'), 'true');
    }
  });

  await t.test('an error appears with its time and its section of the runbook', async () => {
    await shopper.page.goto('/detail/9999');
    const row = page.locator('[data-errors] tr', { hasText: 'not_found' });
    await row.waitFor();
    assert.equal(await row.locator('[data-metric]').innerText(), '1');
    await live.follow(() => row.getByRole('link').click());
    assert.match(page.url(), /\/runbook#./);
    const anchor = new URL(page.url()).hash;
    assert.equal(await page.locator(`main ${anchor}`).count(), 1);
    assert.equal(await overflow(page), 0);
    assert.deepEqual(await accessibilityFaults(page), []);
  });

  await t.test('a worker shows where it is, its profile as a file, and its heap', async () => {
    await page.goto('/');
    await isLive(live);
    const answer = page.locator('[data-inside]');
    await page.getByRole('link', { name: 'Pilha do worker 1' }).click();
    await answer.getByText(/worker 1, process \d+, .+, main thread (idle|runs)/).waitFor();
    const saving = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Perfil de CPU do worker 2' }).click();
    const file = await saving;
    assert.match(file.suggestedFilename(), /^worker-2-\d+-.+\.cpuprofile$/);
    const { nodes, samples } = JSON.parse(await readFile(await file.path(), 'utf8'));
    assert.ok(nodes.length > 0 && samples.length > 0);
    await answer.getByText('O perfil foi baixado.').waitFor();
    await page.getByRole('link', { name: 'Memória do worker 2' }).click();
    await answer.getByText('old_space').waitFor();
    assert.equal(await overflow(page), 0);
    assert.deepEqual(await accessibilityFaults(page), []);
    await answer.getByRole('button', { name: 'Fechar' }).click();
    assert.ok(await answer.isHidden());
  });

  await t.test('the language is kept', async () => {
    await page.goto('/');
    await live.follow(() => page.getByRole('link', { name: 'English' }).click());
    assert.equal(await page.locator('html').getAttribute('lang'), 'en');
    await page.getByRole('heading', { name: 'The seven metrics' }).waitFor();
    await page.goto('/');
    await page.getByRole('link', { name: 'Português' }).waitFor();
    await live.follow(() => page.getByRole('link', { name: 'Português' }).click());
    await page.goto('/');
    assert.equal(await page.locator('html').getAttribute('lang'), 'pt-BR');
  });

  assert.deepEqual(live.complaints, []);
});

test('the live page is accessible and fits every screen, in both languages and colours', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 2 });
  const visitor = shop.visitor();
  await visitor.post('/add_to_cart/1', { quantity: 1 });
  await visitor.get('/detail/9999');

  for (const width of [PHONE, TABLET, DESKTOP]) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await t.test(`${width} pixels, ${colorScheme}`, async () => {
        const window = await openWindow(browser, shop.opsUrl, { width });
        await window.page.emulateMedia({ colorScheme });
        await window.page.goto(colorScheme === 'light' ? '/' : '/?lang=en');
        await isLive(window);
        await window.page.locator('[data-seven] summary').first().click();
        await window.page.getByRole('button', { name: '/detail/:id' }).click();
        await window.page.locator('.histogram summary').click();
        await window.page.locator('[data-table-switch]').last().click();
        assert.equal(await overflow(window.page), 0, 'wider than the screen');
        assert.deepEqual(await accessibilityFaults(window.page), []);
        assert.deepEqual(window.complaints, []);
        await window.page.context().close();
      });
    }
  }

  await t.test('without JavaScript the numbers are there, and renewed', async () => {
    const window = await openWindow(browser, shop.opsUrl, { javaScript: false, width: PHONE });
    const { page, complaints } = window;
    await page.goto('/?window=5m&sort=additions');
    const key = `increase(shop_cart_additions_total{product="${BACKPACK.slug}"}[5m])`;
    assert.equal(await numberOf(page, key).innerText(), '1');
    assert.match(await page.locator('[data-products] tbody tr').first().innerText(), /Mochila Urbana/);
    await visitor.post('/add_to_cart/1', { quantity: 1 });
    await until('the page is renewed', async () => (await numberOf(page, key).innerText()) === '2');
    await window.follow(() => page.getByRole('link', { name: 'desde o início' }).click());
    assert.equal(await numberOf(page, `shop_cart_additions_total{product="${BACKPACK.slug}"}`).innerText(), '2');
    assert.equal(await overflow(page), 0);
    assert.deepEqual(complaints, []);
  });
});

test('who waits for a lock in the database, and who holds it, is there for as long as it lasts', async (t) => {
  const browser = await startBrowser(t);
  const { url, knex } = await testDatabase(t);
  const shop = await startCluster(t, { workers: 1, database: { url } });
  const live = await openWindow(browser, shop.opsUrl, { width: PHONE });
  const { page } = live;
  await page.goto('/');
  await isLive(live);
  const waits = page.getByRole('region', { name: 'Quem espera por um lock, e quem o segura' });
  assert.ok(await waits.isHidden());

  const holder = await openPool(t, { url }, { applicationName: 'psql', deadlines: PATIENT }).transaction();
  whenDone(t, () => holder.rollback());
  await holder('products').where({ id: 1 }).update({ stock: 7 });
  const waiting = Promise.resolve(knex('products').where({ id: 1 }).update({ price_cents: 8 }));
  await waits.getByText(/psql, pid \d+, idle in transaction, transação aberta há/).waitFor();
  await waits.getByText('update "products" set "price_cents" = $1 where "id" = $2').waitFor();
  assert.equal(await overflow(page), 0);
  assert.deepEqual(await accessibilityFaults(page), []);

  await holder.rollback();
  await waiting;
  await waits.waitFor({ state: 'hidden' });
  assert.deepEqual(live.complaints, []);
});

test('a killed worker is seen, and a new primary starts the page anew', async (t) => {
  const browser = await startBrowser(t);
  const port = String(await freePort());
  const first = await startCluster(t, { workers: 2, env: { METRICS_PORT: port } });
  const live = await openWindow(browser, first.opsUrl, { width: DESKTOP });
  const { page } = live;
  await page.goto('/');
  await isLive(live);
  await first.visitor().get('/detail/1');
  const views = numberOf(page, `shop_product_views_total{product="${BACKPACK.slug}"}`);
  await until('the view is shown', async () => (await views.innerText()) === '1');

  await t.test('the row of a replaced worker is marked', async () => {
    const [worker] = (await first.status()).workers;
    process.kill(worker?.pid as number, 'SIGKILL');
    await page.locator('[data-worker="1"].is-replaced').waitFor();
    await until('the restart is counted', async () => {
      return (await page.locator('[data-worker="1"] [data-worker-restarts]').innerText()) === '1';
    });
    await page.locator('[data-lamp="machine"]:not([data-level="good"])').first().waitFor();
    assert.deepEqual(live.complaints, []);
  });

  await t.test('without the primary the page turns grey and says how old it is', async () => {
    await first.stop();
    await page.locator('body.is-stale').waitFor();
    assert.match(await page.locator('[data-stale]').innerText(), /^Sem notícias da loja: os números têm \d+/);
  });

  await t.test('the page finds the new primary, and its numbers start anew', async () => {
    const second = await startCluster(t, { workers: 1, env: { METRICS_PORT: port } });
    assert.equal(second.opsUrl, first.opsUrl);
    await until('the page shows the new primary', async () => {
      return (await page.locator('[data-worker]').count()) === 1 && (await views.innerText()) === '0';
    });
    await page.locator('body:not(.is-stale)').waitFor();
    await second.visitor().get('/detail/1');
    await until('the view is shown', async () => (await views.innerText()) === '1');
  });
});

test('a page in the background leaves its connection to the one in sight, also where the browser keeps nothing', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1 });
  const first = await openWindow(browser, shop.opsUrl, { width: DESKTOP });
  await first.page.goto('/');
  await isLive(first);

  // Headless Chromium takes every page as being in sight.
  const setHidden = (isHidden: boolean) =>
    first.page.evaluate(`Object.defineProperty(document, 'hidden', { configurable: true, value: ${isHidden} });
      document.dispatchEvent(new Event('visibilitychange'))`);
  await setHidden(true);
  const second = await first.page.context().newPage();
  await second.addInitScript(`Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })`);
  await second.goto('/');
  await second.locator('[data-connection="live"]').waitFor();
  await first.page.locator('[data-connection="stale"]').waitFor();
  assert.match(await first.page.title(), /^\?/);
  await setHidden(false);
  await isLive(first);
});

test('with METRICS_TOKEN the page asks for the token and keeps it in memory only', async (t) => {
  const browser = await startBrowser(t);
  const token = 'scrape-me.please';
  const shop = await startCluster(t, { workers: 1, env: { METRICS_TOKEN: token } });
  const window = await openWindow(browser, shop.opsUrl, { width: PHONE });
  const { page } = window;
  await page.goto('/');
  assert.equal(await page.locator('[data-key]').count(), 0);
  assert.deepEqual(await accessibilityFaults(page), []);

  await page.getByLabel('METRICS_TOKEN').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('O token não confere.').waitFor();

  await page.getByLabel('METRICS_TOKEN').fill(token);
  await page.keyboard.press('Enter');
  await isLive(window);
  await page.getByRole('link', { name: 'Pilha do worker 1' }).click();
  await page
    .locator('[data-inside]')
    .getByText(/main thread (idle|runs)/)
    .waitFor();
  await page.getByRole('button', { name: '1 h' }).click();
  await until('the number is shown', async () => (await numberOf(page, 'shop_active_sessions').innerText()) === '0');
  assert.equal(await page.evaluate('JSON.stringify([localStorage, sessionStorage, document.cookie])'), '[{},{},""]');
  assert.deepEqual(window.complaints, []);

  await page.reload();
  await page.getByLabel('METRICS_TOKEN').waitFor();
});
