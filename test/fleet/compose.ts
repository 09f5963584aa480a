import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { startBuyers } from '../support/buyers.ts';
import type { Engine } from '../support/docker.ts';
import { startLoad } from '../support/load.ts';
import { askPrometheus, type PrometheusApi } from '../support/prometheus.ts';
import { freePort } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

const SERVICES_IMAGE = 'fake-shop-test-services';
const START_DEADLINE_MS = 5 * 60_000;
/** Services whose program Debian has. Grafana, Loki, Alloy and k6 are checked by `docker-compose config` alone. */
const SERVICES = ['balancer', 'shop', 'postgres', 'postgres-exporter', 'prometheus', 'alertmanager'];
const PRODUCT = '/detail/1';
const CHECK_LIMIT = /timeout check \d+s/;

/** Debian's programs in one image, each under the user and with the folders of its own image. */
const SERVICES_DOCKERFILE = String.raw`
RUN mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        haproxy postgresql-17 prometheus prometheus-alertmanager prometheus-postgres-exporter wget \
    && rm -rf /var/lib/apt/lists/*
RUN install -d -o nobody /prometheus /alertmanager && install -d -o postgres /var/lib/postgresql && install -d -m 3777 /run/postgresql
COPY --chmod=755 start-postgres /usr/local/bin/
`;

/** What the entrypoint of PostgreSQL's own image does with its variables. */
const START_POSTGRES = `#!/bin/sh
set -eu
export PATH="/usr/lib/postgresql/17/bin:$PATH" PGDATA=/var/lib/postgresql/17/docker
if ! [ -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  echo "create database $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
fi
exec "$@" -c listen_addresses='*'
`;

/** Builds the image of the services. @param debian the image to build on */
export async function buildServices(engine: Engine, debian: string): Promise<void> {
  const folder = join(engine.folder, 'services');
  await mkdir(folder);
  await writeFile(join(folder, 'start-postgres'), START_POSTGRES);
  await writeFile(join(folder, 'Dockerfile'), `FROM ${debian}${SERVICES_DOCKERFILE}`);
  await engine.docker(['build', '--network', 'host', '--tag', SERVICES_IMAGE, folder]);
}

/** The compose file, brought up with the image that this engine has built. It is taken down when the test ends. */
interface Stack {
  readonly shopUrl: string;
  readonly liveUrl: string;
  readonly prometheus: PrometheusApi;
  /** Changes the number of instances, and waits until those that go have ended. */
  scale(instances: number): Promise<unknown>;
  /** Ids of the containers of a service. */
  containers(service: string): Promise<string[]>;
}

async function bringUp(t: TestContext, engine: Engine): Promise<Stack> {
  const prometheusFolder = join(projectRoot, 'monitoring/prometheus');
  // The shipped limits suit a machine with time to spare. This one may be so busy that an instance in good health answers late.
  const balancer = join(engine.folder, 'haproxy.cfg');
  const shipped = await readFile(join(projectRoot, 'deploy/haproxy/haproxy.cfg'), 'utf8');
  assert.match(shipped, CHECK_LIMIT);
  await writeFile(balancer, shipped.replace(CHECK_LIMIT, 'timeout check 20s'));
  const override = {
    services: {
      balancer: { image: SERVICES_IMAGE, volumes: [`${balancer}:/etc/haproxy/haproxy.cfg:ro`] },
      postgres: { image: SERVICES_IMAGE, entrypoint: ['start-postgres'] },
      prometheus: {
        image: SERVICES_IMAGE,
        user: 'nobody',
        entrypoint: ['prometheus'],
        // Debian's is older than 3.8.
        volumes: [`${prometheusFolder}/compose.yml:/etc/prometheus/compose-native.yml:ro`],
      },
      alertmanager: { image: SERVICES_IMAGE, user: 'nobody', entrypoint: ['prometheus-alertmanager'] },
      'postgres-exporter': { image: SERVICES_IMAGE, user: 'nobody', entrypoint: ['prometheus-postgres-exporter'] },
    },
  };
  const overrideFile = join(engine.folder, 'override.json');
  await writeFile(overrideFile, JSON.stringify(override));
  const [port, metricsPort, prometheusPort, alertmanagerPort] = await Promise.all(Array.from({ length: 4 }, freePort));
  const env = {
    PORT: String(port),
    METRICS_PORT: String(metricsPort),
    PROMETHEUS_PORT: String(prometheusPort),
    ALERTMANAGER_PORT: String(alertmanagerPort),
    // The clients of this test are all behind one address.
    RATE_LIMIT: 'off',
    WORKERS: '1',
    // On a busy machine the balancer may need more than the usual 2 seconds to notice that an instance stops.
    DRAIN_DELAY_SECONDS: '10',
  };
  const compose = (args: readonly string[]) =>
    engine.compose(['--project-name', 'test', '--file', 'docker-compose.yml', '--file', overrideFile, ...args], {
      cwd: projectRoot,
      env,
      deadlineMs: START_DEADLINE_MS,
    });
  const up = (instances: number) =>
    compose(['up', '--detach', '--no-build', '--no-recreate', '--scale', `shop=${instances}`, ...SERVICES]);
  whenDone(t, () => compose(['down', '--volumes', '--timeout', '1']));
  try {
    await up(1);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${await compose(['ps'])}${await compose(['logs', '--tail', '30'])}`);
  }
  return {
    shopUrl: `http://127.0.0.1:${port}`,
    liveUrl: `http://127.0.0.1:${metricsPort}`,
    prometheus: askPrometheus(`http://127.0.0.1:${prometheusPort}`),
    scale: up,
    containers: async (service) => (await compose(['ps', '--quiet', service])).split('\n').filter(Boolean),
  };
}

/** The compose file as a fleet: up, scaled to three, an instance killed and one taken away, all under load. */
export async function composeFleet(t: TestContext, engine: Engine): Promise<void> {
  const startedMs = performance.now();
  const note = (text: string) => t.diagnostic(`${((performance.now() - startedMs) / 1000).toFixed(0)} s: ${text}`);
  const stack = await bringUp(t, engine);
  const { prometheus } = stack;
  note('up');
  await assertConfined(engine, stack);
  assert.equal((await fetch(`${stack.shopUrl}${PRODUCT}`)).status, 200);
  assert.match(await (await fetch(stack.liveUrl)).text(), /<title>/);

  await stack.scale(3);
  await findInstances(prometheus, 3);
  note('three instances, each found by Prometheus');
  await fillShelf(engine, stack);

  await t.test('Prometheus has what the clients did, over three instances', async (t) => {
    const before = await served(prometheus);
    const clients = startLoad(t, () => stack.shopUrl, PRODUCT, 4);
    await until('some requests are scraped', async () => (await served(prometheus)) > before + 300);
    const load = await clients.stop();
    const change = (await served(prometheus)) - before;
    assert.deepEqual(load.failures, []);
    assert.deepEqual([...load.statuses.keys()], [200]);
    assert.equal(change, load.statuses.get(200));
    const shares = await prometheus.query(`sum by (instance) (${SERVED})`);
    assert.equal(shares.length, 3);
    for (const { labels, value } of shares) assert.ok(value > 0, `${labels.instance} has served nothing`);
    note(`${change} requests, counted exactly`);
  });

  await t.test('an instance that is killed costs no reader a request, and is started again', async (t) => {
    const readers = startLoad(t, () => stack.shopUrl, PRODUCT, 4);
    const buyers = startBuyers(t, stack.shopUrl, 2);
    const [victim = ''] = await stack.containers('shop');
    const pid = (await engine.docker(['inspect', '--format', '{{.State.Pid}}', victim])).trim();
    process.kill(Number(pid), 'SIGKILL');
    await until(
      'the container is started again',
      async () => {
        const state = await engine.docker([
          'inspect',
          '--format',
          '{{.RestartCount}} {{.State.Health.Status}}',
          victim,
        ]);
        return state.trim() === '1 healthy';
      },
      START_DEADLINE_MS,
    );
    await findInstances(prometheus, 3);
    const read = await readers.stop();
    const { statuses, complaints, orders } = await buyers.stop();
    assert.deepEqual(read.failures, []);
    assert.deepEqual([...read.statuses.keys()], [200]);
    note(`killed: ${read.statuses.get(200)} reads, slowest ${Math.round(read.slowestMs)} ms; ${orders.length} orders`);
    note(`killed: answers to buyers ${JSON.stringify([...statuses])}, complaints ${JSON.stringify(complaints)}`);
    // Of each buyer, the request that the instance had begun may fail, and the next one, if HAProxy sends it over a connection
    // whose end it has not seen yet: a form is not sent twice.
    assert.ok(complaints.length <= 4, complaints.join('\n'));
  });

  await t.test('two instances go under load: no request fails, and Prometheus has each', async (t) => {
    const before = await courses(prometheus);
    const readers = startLoad(t, () => stack.shopUrl, PRODUCT, 4);
    const buyers = startBuyers(t, stack.shopUrl, 2);
    await stack.scale(1);
    const read = await readers.stop();
    const { statuses, complaints, orders } = await buyers.stop();
    assert.deepEqual(read.failures, []);
    assert.deepEqual([...read.statuses.keys()], [200]);
    assert.deepEqual(complaints, []);
    await findInstances(prometheus, 1);
    const after = await courses(prometheus);
    let counted = 0;
    for (const [instance, last] of after) counted += last - (before.get(instance) ?? 0);
    note(`scaled down: ${read.statuses.get(200)} reads, ${orders.length} orders`);
    // Of a buyer's requests, only the product's page answers 200.
    assert.equal(counted, (read.statuses.get(200) ?? 0) + (statuses.get(200) ?? 0));
  });
  note('done');
}

const FILL = 'update products set stock = 1000000';

/** The database has no port outside of the network of its containers. */
async function fillShelf(engine: Engine, stack: Stack): Promise<void> {
  const [postgres = ''] = await stack.containers('postgres');
  const login = '--host=127.0.0.1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"';
  await engine.docker([
    'exec',
    postgres,
    'sh',
    '-c',
    `PGPASSWORD="$POSTGRES_PASSWORD" psql ${login} --command="${FILL}"`,
  ]);
}

const SERVED =
  'http_request_duration_seconds_count{job="fake-shop",route="/detail/:id",method="GET",status_code="200"}';

/** Requests of the product that were served since each instance's start, after a scrape from now on. */
async function served(prometheus: PrometheusApi): Promise<number> {
  await prometheus.scraped();
  return prometheus.value(`sum(${SERVED})`);
}

/** The last value of each instance that there was in the last ten minutes. */
async function courses(prometheus: PrometheusApi): Promise<Map<string, number>> {
  await prometheus.scraped();
  const courses = await prometheus.points(`${SERVED}[10m]`);
  return new Map(courses.map(({ labels, points }) => [labels.instance ?? '', points.at(-1)?.[1] ?? 0]));
}

/** Waits until Prometheus has scraped so many instances, and no others. */
async function findInstances(prometheus: PrometheusApi, instances: number): Promise<void> {
  await until(
    `Prometheus scrapes ${instances} instances`,
    async () => {
      const targets = (await prometheus.targets()).filter(({ scrapePool }) => scrapePool === 'fake-shop');
      return targets.length === instances && targets.every(({ health }) => health === 'up');
    },
    START_DEADLINE_MS,
  );
}

/** Waits until each container is healthy, and asserts that it has a read-only root, no user root, no capability, and limits. */
async function assertConfined(engine: Engine, stack: Stack): Promise<void> {
  for (const service of SERVICES) {
    const [container = ''] = await stack.containers(service);
    const inspect = async () => JSON.parse(await engine.docker(['inspect', container])) as [Inspected];
    await until(
      `${service} is healthy`,
      async () => (await inspect())[0].State.Health?.Status === 'healthy',
      START_DEADLINE_MS,
    );
    const [{ HostConfig: host }] = await inspect();
    assert.equal(host.ReadonlyRootfs, true, service);
    assert.ok(host.Memory > 0 && host.NanoCpus > 0 && host.PidsLimit > 0, `${service} has no limits`);
    const status = await engine.docker(['exec', container, 'cat', '/proc/1/status']);
    assert.doesNotMatch(status, /^Uid:\t0/m, `${service} runs as root`);
    assert.match(status, /^CapBnd:\t0+$/m, service);
    assert.match(status, /^NoNewPrivs:\t1$/m, service);
  }
}

interface Inspected {
  HostConfig: { ReadonlyRootfs: boolean; Memory: number; NanoCpus: number; PidsLimit: number };
  State: { Health?: { Status: string } };
}
