import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readSettings } from '../../k6/lib/settings.ts';
import { readConfig } from '../../src/config.ts';
import { projectRoot } from '../../src/paths.ts';

interface Service {
  image: string;
  build?: string;
  user?: string;
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  ports?: string[];
  restart: string;
  stop_grace_period?: string;
  read_only: boolean;
  cap_drop: string[];
  security_opt: string[];
  cpus: number;
  mem_limit: string;
  pids_limit: number;
}

const lines = (path: string) => readFileSync(join(projectRoot, path), 'utf8').split('\n');

const { services } = parse(lines('docker-compose.yml').join('\n'), { merge: true }) as {
  services: Record<string, Service>;
};

test('the image is built from files that exist and that .dockerignore admits', () => {
  const visible = lines('.dockerignore').flatMap((line) => (line.startsWith('!') ? line.slice(1) : []));
  const sources = lines('Dockerfile')
    .filter((line) => /^COPY (?!--from)/.test(line))
    .flatMap((line) => line.split(' ').slice(1, -1))
    .map((source) => source.replace('../delivery/', ''));
  assert.ok(sources.length > 5);
  for (const source of sources) {
    assert.ok(existsSync(join(projectRoot, source)), `${source} is missing`);
    assert.ok(visible.includes(source), `.dockerignore hides ${source}`);
  }
});

test('image, compose file, balancer and Prometheus agree with the configuration on the ports', () => {
  const { shop, metrics } = readConfig({});
  assert.ok(lines('Dockerfile').includes(`EXPOSE ${shop.port} ${metrics.port}`));
  assert.equal(services.shop?.ports, undefined, 'a published port would allow one instance only');
  const published = services.balancer?.ports ?? [];
  assert.deepEqual(
    published.map((port) => port.replace(/^127\.0\.0\.1:\$\{\w+:-(\d+)\}:/, '$1 ')),
    [`${shop.port} ${shop.port}`, `${metrics.port} ${metrics.port}`],
  );
  assert.match(lines('deploy/haproxy/live.cfg').join('\n'), new RegExp(`"\\$\\{SHOP_NAME-shop\\}:${metrics.port}"`));
  for (const file of ['compose.yml', 'compose-native.yml']) {
    assert.match(lines(`monitoring/prometheus/${file}`).join('\n'), new RegExp(`^ +port: ${metrics.port}$`, 'm'), file);
  }
  assert.match(
    lines('monitoring/prometheus/local.yml').join('\n'),
    new RegExp(`\\[127\\.0\\.0\\.1:${metrics.port}\\]`),
  );
});

test('each service of the compose file is confined, limited and checked, and its image is one release', () => {
  assert.ok(Object.keys(services).length >= 8);
  for (const [name, service] of Object.entries(services)) {
    assert.equal(service.read_only, true, name);
    assert.deepEqual(service.cap_drop, ['ALL'], name);
    assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    assert.ok(service.cpus && service.mem_limit && service.pids_limit, `${name} has no limits`);
    assert.ok(service.restart === 'unless-stopped' || name === 'migrate' || name === 'k6', name);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, `${name}: for this machine alone`);
    if (!service.build)
      assert.match(service.image, /^[\w/-]+:v?\d+(\.\d+\.\d+(-alpine)?)?(@sha256:[0-9a-f]{64})?$/, name);
    assert.equal(/^(root|0)(:|$)/.test(service.user ?? ''), name === 'alloy', name);
  }
});

test('an instance has time to drain and to be scraped before Docker kills it', () => {
  const { DRAIN_DELAY_SECONDS, LAST_SCRAPE_SECONDS } = shopEnvironment({});
  const grace = Number(/^(\d+)s$/.exec(services.shop?.stop_grace_period ?? '')?.[1]);
  assert.ok(grace >= Math.max(2, Number(DRAIN_DELAY_SECONDS)) + Number(LAST_SCRAPE_SECONDS) + 15);
});

test('the shop starts with the environment of the compose file, with and without .env.example', () => {
  const example = Object.fromEntries(
    lines('.env.example').flatMap((line) => {
      const [, name = '', value = ''] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
      return name ? [[name, value]] : [];
    }),
  );
  for (const env of [{}, example]) {
    const environment = shopEnvironment(env);
    assert.equal(environment.NODE_ENV, 'production');
    const config = readConfig(environment);
    assert.deepEqual(config.database.connection, {
      host: 'postgres',
      port: 5432,
      user: 'fake_shop',
      password: 'local-only',
      database: 'fake_shop',
    });
    assert.equal(config.metrics.host, '0.0.0.0');
  }
});

test('k6 runs a script that it finds, with variables that it knows, for the balancer and the metrics of the shop', () => {
  const { command = [], environment = {}, volumes = [] } = services.k6 ?? {};
  const script = substitute(command.at(-1) ?? '', {});
  assert.ok(volumes.includes('./k6:/k6:ro'));
  assert.ok(existsSync(join(projectRoot, script)), `${script} is missing`);
  const given = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, substitute(value, {})]));
  const settings = readSettings(given, { duration: '7m', rate: 3 });
  const { shop, metrics } = readConfig({});
  assert.deepEqual(settings, {
    baseUrl: `http://balancer:${shop.port}`,
    metricsUrls: [`http://shop:${metrics.port}/metrics`],
    metricsToken: undefined,
    durationSeconds: 420,
    rate: 3,
    thinkSeconds: 1,
    account: true,
    summaryFile: '',
  });
  const known = lines('k6/lib/settings.ts').join('\n');
  for (const name of Object.keys(environment))
    assert.ok(name.startsWith('K6_PROMETHEUS_RW_') || known.includes(name), name);
});

test('.env.example holds every variable that the compose file reads, and no other', () => {
  const read = lines('docker-compose.yml').flatMap((line) =>
    [...line.matchAll(/\$\{([A-Z_]+)/g)].map((match) => match[1]),
  );
  const told = lines('.env.example').flatMap((line) => /^([A-Z_]+)=/.exec(line)?.[1] ?? []);
  assert.deepEqual(told.sort(), [...new Set(read)].sort());
});

/** The environment that the image and the compose file give to the shop. An empty variable has its default, as `:-` says. */
function shopEnvironment(env: Record<string, string>): Record<string, string> {
  const image = lines('Dockerfile').flatMap((line) => {
    const [, name = '', value = ''] = /^(?:ENV| {3}) ([A-Z_]+)=(\S+)/.exec(line) ?? [];
    return name ? [[name, value]] : [];
  });
  const compose = Object.entries(services.shop?.environment ?? {}).map(([name, value]) => [
    name,
    substitute(value, env),
  ]);
  return Object.fromEntries([...image, ...compose]);
}

function substitute(value: string, env: Record<string, string>): string {
  return value.replace(/\$\{([A-Z_]+):-([^}]*)\}/g, (_, name: string, fallback: string) => env[name] || fallback);
}
