import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fillShelf, startBuyers } from '../support/buyers.ts';
import { startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { startLoad } from '../support/load.ts';
import { until } from '../support/wait.ts';
import { type Course, coursesOf, describeCourse, type Look, look, sum } from './courses.ts';

/** By hand: `SOAK_MINUTES=30`, which `npm run bench:soak` sets. */
const SECONDS = 60 * Number(process.env.SOAK_MINUTES ?? 0.25);
/** Before the first look, so that pools have opened, caches are filled, and each kind of answer has been given. */
const WARM_UP_SECONDS = 10;
/** Connections open and close with the load: those to the database, and those of clients. */
const DESCRIPTORS_MAY_DIFFER = 25;
const MEGABYTES_MAY_GROW = 150;

test('descriptors and series do not grow under load, and memory stays within bounds', async (t) => {
  const result = await soak(t);
  for (const line of describeSoak(result)) t.diagnostic(line);

  assert.deepEqual(result.complaints, []);
  assert.ok(result.orders > 0);
  for (const { process, what, first, last, least, most } of result.courses) {
    if (what === 'series') assert.equal(last, first, `series of ${process}`);
    if (what === 'descriptors')
      assert.ok(most - least <= DESCRIPTORS_MAY_DIFFER, `descriptors of ${process}: ${least} to ${most}`);
    if (what === 'memory')
      assert.ok(last - first <= MEGABYTES_MAY_GROW, `memory of ${process}: ${first} to ${last} MB`);
  }
});

interface Soak {
  requests: number;
  orders: number;
  /** Answers that no client should get. */
  complaints: string[];
  courses: Course[];
}

const SAMPLES = 60;
const BUYERS = 2;
/** Paths that are requested beside the buyers' ones. One does not exist. */
const PATHS = ['/', '/shop?q=mochila', '/detail/2', '/cart', '/nowhere', '/static/shop.css', '/metrics'];

/** Keeps a shop of two workers busy and samples what its processes hold. */
async function soak(t: TestContext): Promise<Soak> {
  const { url } = await testDatabase(t);
  await fillShelf(url);
  const shop = await startCluster(t, { workers: 2, database: { url }, env: { LOG_LEVEL: 'info' } });
  const buyers = startBuyers(t, shop.shopUrl, BUYERS);
  const loads = PATHS.map((path) => startLoad(t, () => shop.shopUrl, path, 1));

  await sleep(WARM_UP_SECONDS * 1000);
  // The only series of this load that does not exist from the start.
  for (const worker of ['1', '2']) {
    await until(`worker ${worker} has been asked for what does not exist`, async () =>
      (await shop.metrics(`?worker=${worker}`)).has('http_request_duration_seconds_count', {
        route: 'unmatched',
        status_code: 404,
      }),
    );
  }
  const looks: Look[] = [];
  const startedMs = performance.now();
  for (let i = 0; i <= SAMPLES; i++) {
    await sleep(Math.max(0, startedMs + (i * SECONDS * 1000) / SAMPLES - performance.now()));
    looks.push(...(await look(shop, (performance.now() - startedMs) / 60_000)));
  }

  const { orders, statuses, complaints } = await buyers.stop();
  const results = await Promise.all(loads.map((load) => load.stop()));
  let requests = sum(statuses.values());
  for (const { statuses, failures } of results) {
    requests += sum(statuses.values());
    complaints.push(...failures);
    for (const status of statuses.keys()) if (![200, 404, 503].includes(status)) complaints.push(`status ${status}`);
  }
  return { requests, orders: orders.length, complaints, courses: coursesOf(looks) };
}

/** A summary, and a line for each course. */
function describeSoak({ requests, orders, courses }: Soak): string[] {
  return [
    `${requests} requests (${Math.round(requests / SECONDS)}/s), ${orders} orders, in ${SECONDS} s`,
    ...courses.map(describeCourse),
  ];
}
