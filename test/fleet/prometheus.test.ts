import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startPrometheus } from '../support/prometheus.ts';
import { until } from '../support/wait.ts';

/** A Prometheus that scrapes itself. */
const SELF = {
  global: { scrape_interval: '1s', evaluation_interval: '1s' },
  rule_files: ['rules/*.yml'],
  scrape_configs: [{ job_name: 'self', file_sd_configs: [{ files: ['targets.json'] }] }],
};

const startSelf = (t: TestContext, options = {}) =>
  startPrometheus(t, {
    config: SELF,
    files: {
      'targets.json': [],
      'rules/recording.yml': 'groups: [{ name: g, rules: [{ record: "twice:up", expr: "2 * up" }] }]',
    },
    ...options,
  });

test('the helper finds targets by file, waits for a scrape after now, and answers queries', async (t) => {
  const prometheus = await startSelf(t);
  assert.deepEqual(await prometheus.targets(), []);
  const instance = new URL(prometheus.url).host;
  await prometheus.write('targets.json', [{ targets: [instance], labels: { zone: 'a' } }]);
  const before = Date.now() / 1000;
  await prometheus.scraped([instance]);
  assert.ok((await prometheus.value('timestamp(up)')) > before);
  const [first] = await prometheus.query('up');
  assert.deepEqual(first?.labels, { __name__: 'up', instance, job: 'self', zone: 'a' });
  assert.equal(first?.value, 1);
  await until('the rule is evaluated', async () => (await prometheus.value('twice:up')) === 2);

  const again = Date.now() / 1000;
  await prometheus.scraped();
  const courses = await prometheus.points('up[1m]');
  assert.ok((courses[0]?.points.at(-1)?.[0] ?? 0) > again);
  assert.ok(courses[0]?.points.every(([, value]) => value === 1));
  const now = Date.now() / 1000;
  assert.equal((await prometheus.queryRange('vector(2)', now - 2, now, 1))[0]?.points.length, 3);
  assert.deepEqual(await prometheus.series('up'), [first?.labels]);
  assert.equal((await prometheus.api<{ groups: unknown[] }>('rules')).groups.length, 1);
  assert.equal((await prometheus.query('1 / vector(0)'))[0]?.value, Number.POSITIVE_INFINITY);
  assert.equal(await prometheus.value('scalar(up)'), 1);
});

test('the helper tells what Prometheus has against a query, a configuration and a start', async (t) => {
  const prometheus = await startSelf(t, { flags: ['--enable-feature=exemplar-storage'] });
  await assert.rejects(prometheus.query('sum('), /parse error/);
  await assert.rejects(prometheus.value('up'), /has 0 values/);
  await prometheus.write('rules/wrong.yml', 'groups: [{ name: g, rules: [{ record: "a b", expr: "up" }] }]');
  await assert.rejects(prometheus.reload(), /reload/);
  await assert.rejects(startSelf(t, { flags: ['--no-such-flag'] }), /package prometheus.*unknown.*flag/s);
});
