import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { PROMETHEUS_RULES, renderPrometheusRules } from '../../deploy/kubernetes/prometheus-rule.ts';
import { readSettings } from '../../k6/lib/settings.ts';
import { DEFAULT_CAPACITY, directoryStart } from '../../packages/cluster-metrics/src/store/layout.ts';
import { readConfig } from '../../src/config.ts';
import { DRAIN_KILL_MS } from '../../src/deadlines.ts';
import { projectRoot } from '../../src/paths.ts';
import { startCluster } from '../support/cluster.ts';
import {
  build,
  find,
  type KubernetesObject,
  parseObjects,
  schemaProblems,
  withoutKubernetesTools,
} from '../support/kubernetes.ts';

const FOLDER = 'deploy/kubernetes';
const PRODUCTION = `${FOLDER}/overlays/production`;
const KIND = `${FOLDER}/overlays/kind`;
const options = { skip: withoutKubernetesTools };
const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const SECOND = 1000;
const MIB = 1024 * 1024;

/** Both overlays with their names, built once. */
const overlays = withoutKubernetesTools
  ? []
  : ([
      ['production', build(PRODUCTION)],
      ['kind', build(KIND)],
    ] as const);
const production = () => overlays[0]?.[1] as KubernetesObject[];
const kind = () => overlays[1]?.[1] as KubernetesObject[];
const migration = () => build(`${PRODUCTION}/migration`);
const load = () => build(`${KIND}/load`);

const podOf = (object: KubernetesObject) => object.spec.template;
const containerOf = (object: KubernetesObject) => podOf(object).spec.containers[0];
/** Whether a selector of labels takes these pods. */
const selects = (selector: { matchLabels: Record<string, string> }, object: KubernetesObject) =>
  Object.entries(selector.matchLabels).every(([name, value]) => podOf(object).metadata.labels[name] === value);

/** The environment that a pod's container gets, with `secret` in place of the secret. */
function environmentOf(
  objects: KubernetesObject[],
  object: KubernetesObject,
  secret: Record<string, string>,
): Record<string, string> {
  const { env = [], envFrom = [], resources } = containerOf(object);
  const environment: Record<string, string> = { NODE_ENV: 'production' };
  for (const { configMapRef } of envFrom) {
    Object.assign(environment, find(objects, 'ConfigMap', configMapRef.name).data);
  }
  for (const { name, value, valueFrom } of env) {
    const key = valueFrom?.secretKeyRef?.key;
    const resource = valueFrom?.resourceFieldRef;
    if (key !== undefined) assert.ok(key in secret, `the secret has no ${key}`);
    if (resource) {
      assert.deepEqual(resource, { containerName: 'shop', resource: 'limits.cpu', divisor: '1' });
    }
    environment[name] = value ?? secret[key] ?? String(Math.ceil(coresOf(resources.limits.cpu)));
  }
  return environment;
}

const coresOf = (quantity: string) =>
  quantity.endsWith('m') ? Number(quantity.slice(0, -1)) / 1000 : Number(quantity);

function bytesOf(quantity: string): number {
  const [, number, unit = ''] = /^(\d+)(Mi|Gi)$/.exec(quantity) ?? assert.fail(`${quantity} is not in Mi or Gi`);
  return Number(number) * MIB * (unit === 'Gi' ? 1024 : 1);
}

const SECRET = {
  DATABASE_URL: 'postgres://shop:secret@database:5432/shop',
  SESSION_KEYS: 'a key that only the tests know',
  METRICS_TOKEN: 'a-token-of-the-tests',
};

/** The configuration that the shop reads in a pod. */
const configOf = (objects: KubernetesObject[]) =>
  readConfig(environmentOf(objects, find(objects, 'Deployment'), SECRET));

test('everything is built, and the schemas find nothing', options, async (t) => {
  for (const [name, objects] of overlays) assert.deepEqual(await schemaProblems(t, objects), [], name);
  for (const objects of [migration(), load()]) assert.deepEqual(await schemaProblems(t, objects), []);
});

test('the schemas refuse unknown fields and wrong values', options, async (t) => {
  const objects = structuredClone(production());
  const shop = find(objects, 'Deployment');
  containerOf(shop).readynessProbe = {};
  delete shop.spec.selector;
  find(objects, 'PodMonitor').spec.scrapeProtocols.push('Protobuf');
  find(objects, 'PrometheusRule', 'fake-shop-alerts').spec.groups[0].rules[0].for = 'soon';
  find(objects, 'NetworkPolicy').spec.ingress[0].form = [];
  find(objects, 'HorizontalPodAutoscaler').spec.maxReplicas = 'ten';

  const problems = await schemaProblems(t, objects);
  for (const expected of [
    /^Deployment .*readynessProbe/,
    /^Deployment .*required property selector/,
    /^PodMonitor .*scrapeProtocols\/3 must be equal to one of the allowed values/,
    /^PrometheusRule .*rules\/0\/for must match pattern/,
    /^NetworkPolicy .*'"form"' does not exist/,
    /^HorizontalPodAutoscaler .*maxReplicas must be integer/,
  ]) {
    assert.ok(
      problems.some((problem) => expected.test(problem)),
      `${expected} in ${problems.join('\n')}`,
    );
  }
  const refused = new Set(problems.map((problem) => problem.split(' ')[0]));
  assert.equal(refused.size, 5, 'nothing else was refused');
});

test('the rules of the operator are those of monitoring/prometheus', () => {
  assert.equal(read(PROMETHEUS_RULES), renderPrometheusRules(), 'write them with npm run kubernetes:rules');
});

test('each dashboard is in a map that the sidecar of Grafana finds', options, () => {
  const folder = 'monitoring/grafana/dashboards';
  const files = readdirSync(join(projectRoot, folder)).filter((file) => file.endsWith('.json'));
  assert.ok(files.length > 0);
  const maps = production().filter(({ metadata }) => metadata.labels?.grafana_dashboard === '1');
  const shown = Object.assign({}, ...maps.map(({ data }) => data));
  assert.deepEqual(Object.keys(shown).sort(), files.sort());
  for (const file of files) assert.equal(shown[file], read(join(folder, file)));
});

test('every selector takes the pods of the shop, and those alone', options, () => {
  for (const [, objects] of overlays) {
    const shop = find(objects, 'Deployment');
    const others = [...objects, ...migration(), ...load()].filter(
      ({ kind, metadata }) => /Deployment|Job/.test(kind) && metadata.name !== 'fake-shop',
    );
    assert.ok(others.length > 0);
    const selectors = [
      shop.spec.selector,
      { matchLabels: find(objects, 'Service').spec.selector },
      find(objects, 'PodDisruptionBudget').spec.selector,
      ...podOf(shop).spec.topologySpreadConstraints.map((spread: KubernetesObject) => spread.labelSelector),
      ...objects.filter((object) => object.kind === 'PodMonitor').map(({ spec }) => spec.selector),
    ];
    assert.ok(selectors.length >= 5);
    for (const selector of selectors) {
      assert.ok(selects(selector, shop), JSON.stringify(selector));
      for (const other of others) assert.ok(!selects(selector, other), other.metadata.name);
    }
  }
  const { scaleTargetRef } = find(production(), 'HorizontalPodAutoscaler').spec;
  const shop = find(production(), scaleTargetRef.kind, scaleTargetRef.name);
  assert.equal(shop.spec.replicas, undefined, 'each apply would undo the autoscaler');
});

test(
  'ports have the names by which service, probes and Prometheus ask for them, and the numbers of the configuration',
  options,
  () => {
    for (const [, objects] of overlays) {
      const container = containerOf(find(objects, 'Deployment'));
      const { shop, metrics } = configOf(objects);
      assert.deepEqual(container.ports, [
        { name: 'http', containerPort: shop.port },
        { name: 'metrics', containerPort: metrics.port },
      ]);
      const [service] = find(objects, 'Service').spec.ports;
      assert.equal(service.targetPort, 'http');
      assert.equal(metrics.host, '0.0.0.0', 'the kubelet and Prometheus come from other addresses');
      assert.equal(shop.host, '0.0.0.0');
    }
    const { podMetricsEndpoints, scrapeNativeHistograms, scrapeClassicHistograms, scrapeProtocols } = find(
      production(),
      'PodMonitor',
    ).spec;
    assert.deepEqual(
      podMetricsEndpoints.map(({ port, path }: Record<string, string>) => [port, path]),
      [['metrics', '/metrics']],
      'the port of the shop would count everything again',
    );
    assert.deepEqual([scrapeNativeHistograms, scrapeClassicHistograms], [true, true]);
    assert.equal(scrapeProtocols[0], 'PrometheusProto', 'no other has native histograms');
  },
);

test('the policy lets the balancer, Prometheus, the database and names through', options, () => {
  const { spec } = find(production(), 'NetworkPolicy');
  for (const object of [find(production(), 'Deployment'), ...migration()]) {
    assert.ok(selects(spec.podSelector, object), `${object.kind} needs the database`);
  }
  const allowed = spec.ingress.map(({ from, ports }: Record<string, KubernetesObject[]>) => [
    from?.[0]?.namespaceSelector.matchLabels['kubernetes.io/metadata.name'],
    ports?.map(({ port }) => port),
  ]);
  const [gateway] = find(production(), 'HTTPRoute').spec.parentRefs;
  assert.deepEqual(allowed, [
    [gateway.namespace, ['http']],
    ['monitoring', ['metrics']],
  ]);
  const out = spec.egress.flatMap(({ ports }: { ports: unknown[] }) => ports);
  assert.deepEqual(out, [
    { protocol: 'UDP', port: 53 },
    { protocol: 'TCP', port: 53 },
    { protocol: 'TCP', port: 5432 },
    { protocol: 'TCP', port: 6432 },
  ]);
  const [backend] = find(production(), 'HTTPRoute').spec.rules[0].backendRefs;
  assert.equal(backend.port, find(production(), 'Service', backend.name).spec.ports[0].port);
});

test('no pod may do more than the restricted standard allows, and the namespace refuses others', options, () => {
  for (const objects of [production(), kind(), migration(), load()]) {
    const pods = objects.filter(({ kind }) => /^(Deployment|Job)$/.test(kind));
    assert.ok(pods.length > 0);
    for (const object of pods) {
      const { spec } = podOf(object);
      assert.equal(spec.securityContext.runAsNonRoot, true);
      assert.ok(spec.securityContext.runAsUser > 0, 'the kubelet does not know whether a name is root');
      assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' });
      assert.equal(spec.automountServiceAccountToken, false);
      assert.equal(spec.enableServiceLinks, false);
      for (const { securityContext, resources } of spec.containers) {
        const expected = {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        };
        assert.deepEqual(securityContext, expected);
        for (const amounts of [resources.requests, resources.limits]) {
          assert.deepEqual(Object.keys(amounts).sort(), ['cpu', 'memory']);
        }
      }
    }
  }
  for (const [, objects] of overlays) {
    assert.equal(find(objects, 'Namespace').metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
  }
});

test('a pod has time to be forgotten by balancers, to drain and to end before it is killed', options, () => {
  for (const [, objects] of overlays) {
    const { spec } = podOf(find(objects, 'Deployment'));
    const { drainDelaySeconds, lastScrapeSeconds } = configOf(objects);
    const { readinessProbe } = containerOf(find(objects, 'Deployment'));
    assert.ok(drainDelaySeconds >= 5, 'the endpoint slices need a moment to reach every node');
    assert.ok(readinessProbe.periodSeconds <= drainDelaySeconds);
    // The rest: the primary's server, the pools, and a machine that is busy.
    const neededSeconds = drainDelaySeconds + DRAIN_KILL_MS / SECOND + lastScrapeSeconds + 7;
    assert.ok(spec.terminationGracePeriodSeconds >= neededSeconds, `${neededSeconds} s are needed`);
  }
  const [{ interval }] = find(production(), 'PodMonitor').spec.podMetricsEndpoints;
  assert.ok(configOf(production()).lastScrapeSeconds > Number.parseInt(interval, 10), 'else the last scrape is missed');
});

test('the migration runs the documented command, as the user of the image', options, () => {
  const [job] = migration() as [KubernetesObject];
  const [, command = ''] = /^docker run --rm .* fake-shop (.+)$/m.exec(read('docs/operations.md')) ?? [];
  assert.deepEqual(containerOf(job).args, command.split(' '));
  const [, uid, user] = /useradd --uid (\d+) .* (\w+) \\$/m.exec(read('Dockerfile')) ?? [];
  assert.match(read('Dockerfile'), new RegExp(`^USER ${user}$`, 'm'));
  for (const object of [job, find(production(), 'Deployment')]) {
    assert.equal(podOf(object).spec.securityContext.runAsUser, Number(uid));
  }
});

test('the load test finds its script and all that it imports, and asks the service of the shop', options, () => {
  const objects = load();
  const job = find(objects, 'Job', 'fake-shop-load');
  const { image, args, env, volumeMounts } = containerOf(job);
  assert.equal(image, parse(read('docker-compose.yml'), { merge: true }).services.k6.image);

  const [{ name, mountPath }] = volumeMounts;
  const { sources } = podOf(job).spec.volumes.find((volume: KubernetesObject) => volume.name === name).projected;
  const mounted = sources.flatMap(({ configMap }: KubernetesObject) => {
    const { data } = find(objects, 'ConfigMap', configMap.name);
    const items = configMap.items ?? Object.keys(data).map((key) => ({ key, path: key }));
    return items.map(({ key, path }: Record<string, string>) => [path, data[key as string]]);
  });
  const scripts = readdirSync(join(projectRoot, 'k6'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  assert.deepEqual(mounted.map(([path]: string[]) => path).sort(), scripts.sort());
  for (const [path, text] of mounted) assert.equal(text, read(join('k6', path)));
  assert.ok(
    scripts.some((file) => args.at(-1) === join(mountPath, file)),
    args.at(-1),
  );

  const values = Object.fromEntries(env.map(({ name, value }: Record<string, string>) => [name, value]));
  const { baseUrl, account } = readSettings(values, { duration: '1s', rate: 1 });
  const service = find(kind(), 'Service');
  assert.equal(baseUrl, `http://${service.metadata.name}`);
  assert.equal(service.spec.ports[0].port, 80);
  assert.ok(!account, 'the books need the metrics of each pod');
});

test('a start may take longer than a migration, and a roll-out longer than a start', options, () => {
  for (const [, objects] of overlays) {
    const { spec } = find(objects, 'Deployment');
    const { startupProbe } = containerOf(find(objects, 'Deployment'));
    const startSeconds = startupProbe.periodSeconds * startupProbe.failureThreshold;
    assert.ok(startSeconds > 5 * 60, 'the longest statement of a migration');
    assert.ok(spec.progressDeadlineSeconds > startSeconds);
    assert.deepEqual(spec.strategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
  }
});

test(
  "the most that the autoscaler asks for fits into the database's connections, as the page counts them",
  options,
  () => {
    const { workers, database } = configOf(production());
    const [, ofPrimary] = /\(WORKERS \+ 1\) × \(DB_POOL_MAX \+ 1\) \+ (\d+)\)/.exec(read('docs/operations.md')) ?? [];
    const each = (workers + 1) * (database.poolMax + 1) + Number(ofPrimary);
    const { maxReplicas } = find(production(), 'HorizontalPodAutoscaler').spec;
    const { maxSurge } = find(production(), 'Deployment').spec.strategy.rollingUpdate;
    const most = (maxReplicas + maxSurge) * each;
    const page = read(`${FOLDER}/README.md`);
    assert.ok(page.includes(`(${maxReplicas} + ${maxSurge}) × ${each} = ${most}`), `${most} is not in the README`);
    const [, granted] = /`max_connections = (\d+)`/.exec(page) ?? [];
    assert.ok(Number(granted) > most);

    const trial = kind();
    const { replicas, strategy } = find(trial, 'Deployment').spec;
    assert.ok((replicas + strategy.rollingUpdate.maxSurge) * each < 97, 'a PostgreSQL without settings grants 97');
  },
);

test('the image, the database and the port of a trial with kind are those that the page tells', options, () => {
  const objects = kind();
  const { image, imagePullPolicy } = containerOf(find(objects, 'Deployment'));
  assert.equal(imagePullPolicy, 'Never');
  const page = read(`${FOLDER}/README.md`);
  assert.ok(page.includes(`docker build --tag ${image} `));
  const [cluster] = parseObjects(read(`${KIND}/cluster.yaml`)) as [KubernetesObject];
  assert.ok(page.includes(`kind load docker-image ${image} --name ${cluster.name}`));
  const [{ containerPort, hostPort }] = cluster.nodes[0].extraPortMappings;
  const [{ nodePort }] = find(objects, 'Service').spec.ports;
  assert.equal(nodePort, containerPort);
  assert.ok(page.includes(`http://localhost:${hostPort}`));

  const url = new URL(find(objects, 'Secret').stringData.DATABASE_URL);
  const server = find(objects, 'Deployment', url.hostname);
  const given = Object.fromEntries(
    containerOf(server).env.map(({ name, value }: Record<string, string>) => [name, value]),
  );
  assert.deepEqual(given, {
    POSTGRES_USER: url.username,
    POSTGRES_PASSWORD: url.password,
    POSTGRES_DB: url.pathname.slice(1),
  });
  assert.equal(find(objects, 'Service', url.hostname).spec.ports[0].port, Number(url.port));
});

test(
  'a shop with the environment of a pod answers its probes and Prometheus, and needs no more memory for the metrics',
  options,
  async (t) => {
    const shop = find(production(), 'Deployment');
    const { DATABASE_URL: _, ...environment } = environmentOf(production(), shop, SECRET);
    const known = [...read('src/config.ts').matchAll(/^ {2}([A-Z_]+): /gm)].map(([, name]) => name);
    for (const name of Object.keys(environment)) assert.ok(known.includes(name), `the shop knows no ${name}`);
    assert.deepEqual(configOf(production()).warnings, []);

    const cluster = await startCluster(t, { env: environment });
    const origins: Record<string, string> = { http: cluster.shopUrl, metrics: cluster.opsUrl };
    const { startupProbe, livenessProbe, readinessProbe, volumeMounts, resources } = containerOf(shop);
    const get = (url: string, headers: Record<string, string> = {}) =>
      fetch(url, { headers, signal: AbortSignal.timeout(30 * SECOND) });
    for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) {
      const { status } = await get(`${origins[httpGet.port]}${httpGet.path}`);
      assert.equal(status, 200, `${httpGet.port} ${httpGet.path}`);
    }
    const [{ port, path, authorization }] = find(production(), 'PodMonitor').spec.podMetricsEndpoints;
    assert.deepEqual(authorization.credentials, { name: 'fake-shop', key: 'METRICS_TOKEN' });
    const scrape = (token: string) =>
      get(`${origins[port]}${path}`, { authorization: `${authorization.type} ${token}` });
    assert.equal((await scrape(SECRET.METRICS_TOKEN)).status, 200);
    assert.equal((await scrape('another')).status, 401);
    assert.equal((await get(`${cluster.shopUrl}/metrics`)).status, 404, 'the port of the visitors shows no metrics');

    const mount = volumeMounts.find(({ mountPath }: { mountPath: string }) => mountPath === '/dev/shm');
    const { emptyDir } = podOf(shop).spec.volumes.find(({ name }: { name: string }) => name === mount.name);
    assert.equal(emptyDir.medium, 'Memory');
    const { workers } = configOf(production());
    // A full file: all of its values, and the directory of a shop's, which is far below a MiB.
    const full = directoryStart(DEFAULT_CAPACITY) + 1 * MIB;
    const room = bytesOf(emptyDir.sizeLimit);
    assert.ok(room >= (workers + 1) * full + 1 * MIB, `${emptyDir.sizeLimit} for ${workers} workers`);
    // The goal for a worker is 150 MB, see docs/performance.md; the primary needs as much.
    assert.ok(bytesOf(resources.limits.memory) >= room + (workers + 2) * 160e6);
    // Without the delay of SIGTERM.
    await cluster.stop('SIGINT');
  },
);
