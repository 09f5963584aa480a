import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Exposition, parseExposition } from '../../src/testing/index.ts';
import { type Farm, type Mechanism, startFarm } from '../support/farm.ts';

/** By hand: `FARM_DEATHS=200`. */
const FARM_DEATHS = Number(process.env.FARM_DEATHS ?? 60);

/** Kills one of four workers, each with 1,000 acts. Its place stays empty. */
async function killOneOfFour(t: TestContext, mechanism: Mechanism): Promise<[before: Exposition, after: Exposition]> {
  const farm = await startFarm(t, mechanism, { workers: 4 });
  for (let place = 1; place <= 4; place++) {
    await farm.tell(place, 'observe', { acts: 1000, kind: `from-${place}`, waits: [0.1] });
  }
  const before = await farm.scrape();
  await farm.kill(2, 'SIGKILL');
  return [before, await farm.scrape()];
}

test('prom-client loses the counts of a killed worker', async (t) => {
  const [before, after] = await killOneOfFour(t, 'stock');
  assert.equal(before.of('acts_total'), 4000);
  assert.equal(after.of('acts_total'), 3000);
  assert.notDeepEqual(after.decreases(before), []);
});

test('the counts of a killed worker are kept, with the series that only it had', async (t) => {
  const [before, after] = await killOneOfFour(t, 'ours');
  assert.equal(before.of('acts_total'), 4000);
  assert.equal(after.of('acts_total'), 4000);
  assert.equal(after.of('acts_total{kind="from-2"}'), 1000);
  assert.equal(after.of('wait_seconds_count{operation="select"}'), 4);
  assert.deepEqual(after.decreases(before), []);
});

/** Clients that count the requests that they sent and the answers that they received. */
function startClients(t: TestContext, farm: Farm, clients: number) {
  const agent = new Agent({ keepAlive: true });
  let stopped = false;
  let sent = 0;
  let answered = 0;

  async function client(): Promise<void> {
    while (!stopped) {
      sent++;
      if (await request(farm.port, agent)) answered++;
      await sleep(1);
    }
  }

  const all = Promise.all(Array.from({ length: clients }, client));
  t.after(() => {
    stopped = true;
    agent.destroy();
  });
  return {
    /** Resolves after this many more answers. */
    async progress(answers: number) {
      const goal = answered + answers;
      while (answered < goal && !stopped) await sleep(2);
    },
    async stop() {
      stopped = true;
      await all;
      return { sent, answered };
    },
  };
}

/** @returns whether the whole answer arrived */
function request(port: number, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const failed = () => resolve(false);
    const asked = get({ port, agent, host: '127.0.0.1', timeout: 2000 }, (response) => {
      response
        .resume()
        .once('end', () => resolve(response.complete))
        .once('error', failed);
    });
    asked.once('error', failed).once('timeout', () => asked.destroy());
  });
}

/** Kills workers under load, replaces each at once, and scrapes all the time. */
async function storm(t: TestContext, mechanism: Mechanism, kills: readonly Parameters<Farm['kill']>[1][]) {
  const farm = await startFarm(t, mechanism, { workers: 4 });
  const clients = startClients(t, farm, 6);
  const losses: string[] = [];
  let scrapes = 0;
  let killing = true;
  t.after(() => {
    killing = false;
  });

  async function scrapeOn(): Promise<void> {
    let before = parseExposition('');
    while (killing) {
      const after = await farm.scrape().catch((error: Error) => error);
      if (after instanceof Error) {
        losses.push(`a scrape failed: ${after.message}`);
      } else {
        losses.push(...after.decreases(before));
        before = after;
        scrapes++;
      }
      await sleep(10);
    }
  }

  async function killOn(place: number): Promise<void> {
    for (const how of kills.filter((_, i) => i % 4 === place - 1)) {
      await clients.progress(10);
      await farm.kill(place, how);
      await farm.replace(place);
    }
  }

  const scraping = scrapeOn();
  await Promise.all([1, 2, 3, 4].map(killOn));
  killing = false;
  await scraping;
  const { sent, answered } = await clients.stop();
  const counted = (await farm.scrape()).of('acts_total{kind="request"}');
  return { farm, losses, scrapes, sent, answered, counted };
}

test("prom-client's counters decrease or its scrapes fail while workers die, and counts are lost", async (t) => {
  const { losses, answered, counted } = await storm(t, 'stock', new Array(8).fill('SIGKILL'));
  assert.notDeepEqual(losses, []);
  assert.ok(counted < answered, `${counted} counted of ${answered} answered`);
});

test(`${FARM_DEATHS} deaths under load decrease no counter and lose or double no count`, async (t) => {
  const deaths: Parameters<Farm['kill']>[1][] = [];
  for (let i = 0; i < FARM_DEATHS; i++) deaths.push(i % 8 === 3 ? 'SIGTERM' : i % 16 === 6 ? 'crash' : 'SIGKILL');
  deaths.push('exhaustMemory', 'exhaustMemory');

  const { farm, losses, scrapes, sent, answered, counted } = await storm(t, 'ours', deaths);
  assert.deepEqual(losses, []);
  assert.ok(scrapes > deaths.length / 4, `only ${scrapes} scrapes`);
  assert.ok(answered > 2 * deaths.length, `only ${answered} answers`);
  assert.ok(answered <= counted && counted <= sent, `${answered} answered, ${counted} counted, ${sent} sent`);
  assert.equal(readdirSync(farm.directory).length, 4, 'the files of the dead are gone');
  t.diagnostic(`${deaths.length} deaths, ${scrapes} scrapes, ${sent} sent, ${counted} counted, ${answered} answered`);
});

test('the numbers of answered, counted and sent requests are equal without deaths', async (t) => {
  const farm = await startFarm(t, 'ours', { workers: 2 });
  const clients = startClients(t, farm, 4);
  while ((await farm.scrape()).of('acts_total{kind="request"}') < 500);
  const { sent, answered } = await clients.stop();
  const after = await farm.scrape();
  assert.equal(answered, sent);
  assert.equal(after.of('acts_total{kind="request"}'), sent);
  assert.equal(after.of('duration_seconds_count{route="/"}'), sent);
  assert.equal(after.of('wait_seconds_count{operation="select"}'), sent);
});
