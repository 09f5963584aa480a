import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readConfig } from '../../src/config.ts';
import { isPage } from '../../src/ops/live/keys.ts';
import { projectRoot } from '../../src/paths.ts';
import { shopRoutes } from '../../src/web/index.ts';
import { FAULTS } from '../fleet/faults.ts';

interface Rule {
  alert?: string;
  expr: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

interface AlertCase {
  alertname: string;
  exp_alerts: Array<{ exp_labels: Record<string, string> }>;
}

interface ScrapeConfiguration {
  global: Record<string, unknown>;
  scrape_configs: Array<Record<string, unknown> & { job_name: string; sample_limit?: number }>;
}

const FOLDER = 'monitoring/prometheus';
const text = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const yaml = <T>(path: string): T => parse(text(path));

const rules = ['alerts', 'recording'].flatMap((file) =>
  yaml<{ groups: Array<{ rules: Rule[] }> }>(`${FOLDER}/rules/${file}.yml`).groups.flatMap((group) => group.rules),
);
const alerts = rules.filter((rule) => rule.alert !== undefined);
/** An alert with several windows has a rule for each. */
const nameOf = (alert = '', window?: string) => (window ? `${alert} over ${window}` : alert);

const configuration = (name: string) => yaml<ScrapeConfiguration>(`${FOLDER}/${name}.yml`);
const shopJob = (name: string) => {
  const job = configuration(name).scrape_configs.find(({ job_name }) => job_name === 'fake-shop');
  assert.ok(job, `${name}.yml scrapes the shop`);
  return job;
};

test('each alert has a case in which it fires, and one in which it does not', () => {
  const fires = new Set<string>();
  const silent = new Set<string>();
  for (const file of readdirSync(join(projectRoot, FOLDER, 'tests'))) {
    const { tests } = yaml<{ tests: Array<{ alert_rule_test?: AlertCase[] }> }>(`${FOLDER}/tests/${file}`);
    for (const { alertname, exp_alerts } of tests.flatMap(({ alert_rule_test = [] }) => alert_rule_test)) {
      const fired = exp_alerts.map(({ exp_labels }) => nameOf(alertname, exp_labels.window));
      for (const name of fired) fires.add(name);
      for (const { alert, labels } of alerts.filter((rule) => rule.alert === alertname)) {
        const name = nameOf(alert, labels?.window);
        if (!fired.includes(name)) silent.add(name);
      }
    }
  }
  const names = alerts.map(({ alert, labels }) => nameOf(alert, labels?.window)).sort();
  assert.ok(names.length > 20);
  assert.deepEqual([...fires].sort(), names);
  assert.deepEqual([...silent].sort(), names);
});

test('each alert has a real fault in which it fires, and resolves', () => {
  const rehearsed = new Set(FAULTS.flatMap(({ alerts: during, later }) => [...during, ...(later?.alerts ?? [])]));
  const names = alerts.map(({ alert, labels }) => nameOf(alert, labels?.window)).sort();
  assert.deepEqual([...rehearsed].sort(), names);
});

test('each alert has a severity, a summary and a description, and leads to a heading of the runbook', () => {
  const runbook = text('docs/operations.md');
  const headings = [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));
  const rows = runbook.matchAll(/^\| `(Shop\w+)` \| ([\w ]+) \|.*\]\(#([\w-]+)\) \|$/gm);
  const table = new Map(Array.from(rows, ([, name = '', severity, section]) => [name, { severity, section }]));
  const severities = new Map<string, Set<string>>();
  const expected = new Map<string, { severity: string; section: string }>();
  for (const { alert = '', labels, annotations = {} } of alerts) {
    const severity = labels?.severity ?? '';
    assert.match(severity, /^(critical|warning)$/, alert);
    for (const annotation of ['summary', 'description']) assert.ok(annotations[annotation], `${alert}: ${annotation}`);
    const url = annotations.runbook_url ?? '';
    const [, section = ''] = /^\{\{ or \$externalLabels\.runbook "[^"]+\/runbook" \}\}#([\w-]+)$/.exec(url) ?? [];
    assert.ok(headings.includes(section), `${alert}: no heading for ${url}`);
    severities.set(alert, (severities.get(alert) ?? new Set()).add(severity));
    expected.set(alert, { severity: [...(severities.get(alert) ?? [])].join(' or '), section });
  }
  assert.deepEqual(table, expected);
});

test('no rule names a job', () => {
  for (const { expr } of rules) assert.doesNotMatch(expr, /job\s*(=|!)/);
});

test('the rules take for pages what the live page takes for pages', () => {
  const patterns = new Set(
    rules.flatMap(({ expr }) => [...expr.matchAll(/route!~"([^"]+)"/g)].map(([, each]) => each)),
  );
  assert.equal(patterns.size, 1);
  const [pattern = ''] = patterns;
  const isNotPage = new RegExp(`^(?:${pattern})$`);
  for (const { route } of shopRoutes) assert.equal(!isNotPage.test(route), isPage(route), route);
});

test("every scrape configuration scrapes the primary's port alone, with a token from a file and a limit", () => {
  const { metrics } = readConfig({});
  const limits = new Set<unknown>();
  for (const name of ['local', 'compose', 'compose-native', 'kubernetes']) {
    const job = shopJob(name);
    assert.deepEqual(job.authorization, { credentials_file: 'secrets/metrics-token' });
    limits.add(job.sample_limit);
  }
  assert.deepEqual(shopJob('local').static_configs, [{ targets: [`127.0.0.1:${metrics.port}`] }]);
  const discovery = [{ names: ['shop'], type: 'A', port: metrics.port, refresh_interval: '5s' }];
  assert.deepEqual(shopJob('compose').dns_sd_configs, discovery);
  const limit = alerts
    .find(({ alert }) => alert === 'ShopMetricsNearLimit')
    ?.expr.split('*')
    .at(-1);
  assert.deepEqual([...limits], [Number(limit)]);
});

test('compose-native.yml is compose.yml with native histograms beside the classic ones', () => {
  const { global, scrape_configs, ...others } = configuration('compose');
  const jobs = scrape_configs.map((job) =>
    job.job_name === 'fake-shop' ? { ...job, always_scrape_classic_histograms: true } : job,
  );
  const native = { ...others, global: { ...global, scrape_native_histograms: true }, scrape_configs: jobs };
  assert.deepEqual(configuration('compose-native'), native);
});

test('who stores native histograms keeps the classic ones, which rules and dashboards use', () => {
  const natives = ['local', 'compose', 'compose-native', 'kubernetes'].filter(
    (name) => configuration(name).global.scrape_native_histograms,
  );
  assert.deepEqual(natives, ['compose-native', 'kubernetes']);
  for (const name of natives) assert.equal(shopJob(name).always_scrape_classic_histograms, true, name);
});

test('the Prometheus of docker-compose.yml is one for compose-native.yml, and reads it', () => {
  const { services } = yaml<{ services: Record<string, { image: string; command: string[]; volumes: string[] }> }>(
    'docker-compose.yml',
  );
  const { image = '', command, volumes } = services.prometheus ?? assert.fail('no Prometheus');
  const [, major, minor] = /^prom\/prometheus:v(\d+)\.(\d+)\./.exec(image) ?? assert.fail(image);
  assert.ok(Number(major) > 3 || (Number(major) === 3 && Number(minor) >= 8), image);
  assert.ok(command?.includes('--config.file=/etc/prometheus/compose-native.yml'));
  assert.ok(volumes?.includes('./monitoring/prometheus:/etc/prometheus:ro'));
  const { external_labels } = configuration('compose-native').global as { external_labels: Record<string, string> };
  assert.match(external_labels.runbook ?? '', /^http:\/\/127\.0\.0\.1:\d+\/runbook$/);
});

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}
