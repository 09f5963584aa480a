import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { projectRoot } from '../../src/paths.ts';

const lines = (path: string) => readFileSync(join(projectRoot, path), 'utf8').split('\n');

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

test('image, compose file and Prometheus agree with the configuration on the ports', () => {
  const { shop, metrics } = readConfig({});
  assert.ok(lines('Dockerfile').includes(`EXPOSE ${shop.port} ${metrics.port}`));
  const compose = lines('docker-compose.yml').join('\n');
  assert.match(compose, new RegExp(`:${shop.port}"$`, 'm'));
  assert.match(compose, new RegExp(`:${metrics.port}"$`, 'm'));
  assert.match(lines('monitoring/prometheus.yml').join('\n'), new RegExp(`\\[shop:${metrics.port}\\]`));
  assert.match(
    lines('monitoring/prometheus-local.yml').join('\n'),
    new RegExp(`\\[127\\.0\\.0\\.1:${metrics.port}\\]`),
  );
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
  const compose = lines('docker-compose.yml').flatMap((line) => {
    const [, name = '', value = ''] = /^ {6}([A-Z_]+): (.+)$/.exec(line) ?? [];
    return name && !name.startsWith('POSTGRES_') ? [[name, substitute(value, env)]] : [];
  });
  return Object.fromEntries([...image, ...compose]);
}

function substitute(value: string, env: Record<string, string>): string {
  return value.replace(/\$\{([A-Z_]+):-([^}]*)\}/g, (_, name: string, fallback: string) => env[name] || fallback);
}
