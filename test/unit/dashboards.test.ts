import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as units from '@grafana/grafana-foundation-sdk/units';
import { generate } from '../../monitoring/grafana/generate/boards.ts';
import { projectRoot } from '../../src/paths.ts';
import {
  boxesOf,
  type Dashboard,
  expressionsOf,
  labelQueriesOf,
  type Panel,
  panelsOf,
  readDashboards,
  type Selector,
  selectorsIn,
} from '../support/dashboards.ts';
import { k6Series } from '../support/k6.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const dashboards = [...readDashboards().values()];
const panels = dashboards.flatMap(panelsOf);
const expressions = dashboards.flatMap(expressionsOf);
const targets = panels.flatMap(({ title, targets: all = [] }) => all.map((target) => ({ title, ...target })));
const selectors = targets.flatMap(({ title, expr }) => selectorsIn(expr).map((selector) => ({ title, ...selector })));

/** Recorded for the whole shop, so without the labels `job` and `instance`. */
const isRecorded = ({ metric }: Selector) => metric.includes(':');
/** Of Prometheus itself, of postgres_exporter and of k6: their jobs and instances are not the shop's. */
const isForeign = ({ metric }: Selector) => metric === 'ALERTS' || /^(pg|k6)_/.test(metric);

test('the committed dashboards and drawings are what the generator writes', () => {
  const files = generate();
  assert.ok(files.length > 5);
  for (const { path, content } of files) {
    assert.ok(read(path) === content, `${path} is out of date: run npm run dashboards`);
  }
  const paths = files.map(({ path }) => path);
  for (const name of readDashboards().keys()) {
    assert.ok(paths.includes(`monitoring/grafana/dashboards/${name}`), `nothing generates ${name}: remove it`);
  }
});

// The rules of https://github.com/grafana/dashboard-linter, by their names. Left out: its rules for Loki, and its warnings
// about English labels of variables.

test('template-datasource-rule: the data source is a variable', () => {
  for (const { title, templating } of dashboards) {
    const sources = templating.list.filter(({ type }) => type === 'datasource');
    assert.deepEqual(
      sources.map(({ name, query }) => [name, query]),
      [['datasource', 'prometheus']],
      title,
    );
  }
});

for (const name of ['job', 'instance']) {
  test(`template-${name}-rule: ${name} is a variable of which several values can be chosen`, () => {
    for (const { title, templating } of dashboards) {
      const variable = templating.list.find((each) => each.name === name);
      assert.equal(variable?.type, 'query', title);
      assert.equal(variable.datasource?.uid, '$datasource', title);
      assert.equal(variable.multi, true, title);
      assert.equal(variable.allValue, '.+', title);
    }
  });

  test(`target-${name}-rule: each query is limited to the chosen ${name}`, () => {
    const limited = selectors.filter((selector) => !isRecorded(selector) && !isForeign(selector));
    assert.ok(limited.length > 100);
    for (const { title, metric, matchers } of limited) {
      assert.ok(matchers.includes(`${name}=~"$${name}"`), `${title}: ${metric}{${matchers}}`);
    }
  });
}

test('template-label-promql-rule: each variable asks for the values of a label', () => {
  for (const dashboard of dashboards) {
    const queries = labelQueriesOf(dashboard);
    assert.ok(queries.length >= 2, dashboard.title);
    for (const { selector } of queries) assert.equal(selectorsIn(selector).length, 1, dashboard.title);
  }
});

test('template-on-time-change-reload-rule: variables follow the period', () => {
  const variables = dashboards.flatMap(({ templating }) => templating.list.filter(({ type }) => type === 'query'));
  assert.deepEqual(new Set(variables.map(({ refresh }) => refresh)), new Set([2]));
});

test('panel-datasource-rule: panels, targets, annotations and variables use the chosen data source', () => {
  const variables = dashboards.flatMap(({ templating }) => templating.list.filter(({ type }) => type === 'query'));
  const annotations = dashboards.flatMap(({ annotations: { list } }) => list);
  for (const { datasource } of [...panels, ...targets, ...annotations, ...variables]) {
    assert.equal(datasource?.uid, '$datasource');
  }
});

test('panel-title-description-rule: each panel has a title and a description', () => {
  for (const { title, description = '' } of panels) {
    assert.ok(title !== '', 'a panel without a title');
    assert.ok(description !== '', `${title} has no description`);
  }
});

test('panel-units-rule: each panel has a unit that Grafana knows', () => {
  const known = new Set<unknown>(Object.values(units));
  for (const { title, fieldConfig } of panels) {
    const overrides = fieldConfig?.overrides.flatMap(({ properties }) => properties) ?? [];
    const used = [fieldConfig?.defaults.unit, ...overrides.filter(({ id }) => id === 'unit').map(({ value }) => value)];
    for (const unit of used) assert.ok(known.has(unit), `${title}: ${unit}`);
  }
});

test('panel-no-targets-rule: each panel asks for something', () => {
  for (const { title, targets: all = [] } of panels) assert.ok(all.length > 0, title);
});

test('target-promql-rule: each expression is PromQL', () => {
  assert.ok(expressions.length > 100);
  for (const { where, expr } of expressions) assert.ok(selectorsIn(expr).length > 0, where);
});

test('target-rate-interval-rule: rates follow the resolution of the graph', () => {
  const rates = selectors.filter(({ within: [inner] }) => inner === 'rate' || inner === 'irate');
  assert.ok(rates.length > 30);
  for (const { title, metric, range } of rates) assert.equal(range, '$__rate_interval', `${title}: ${metric}`);
});

test('target-counter-agg-rule: counters are shown as rates or increases', () => {
  const counters = selectors.filter(({ metric }) => /_(total|count|sum|bucket)$/.test(metric) && !/^pg_/.test(metric));
  assert.ok(counters.length > 50);
  for (const { title, metric, within, range } of counters) {
    assert.ok(['rate', 'irate', 'increase'].includes(within[0] ?? ''), `${title}: ${metric}`);
    assert.ok(range, `${title}: ${metric}`);
  }
});

test('uneditable-dashboard: a change in the browser would be lost', () => {
  for (const { title, editable } of dashboards) assert.equal(editable, false, title);
});

// Our own rules.

const AGGREGATIONS = ['sum', 'max', 'min', 'avg', 'count', 'topk'];

test('counters are summed over instances, except those of the database, which are the same on each', () => {
  const counters = selectors.filter(({ metric, within }) => {
    return ['rate', 'irate', 'increase'].includes(within[0] ?? '') && !metric.includes(':');
  });
  assert.ok(counters.length > 50);
  for (const { title, metric, within } of counters) {
    const wanted = metric.startsWith('shop_db_server_') ? 'max' : 'sum';
    const operator = within.map((name) => name.split(' ')[0] ?? '').find((name) => AGGREGATIONS.includes(name));
    assert.equal(operator, wanted, `${title}: ${metric}`);
  }
});

test('gauges that are read from the database are the maximum over instances, never the sum', () => {
  const shopWide = /^shop_(active_sessions|active_cart_sessions|payments_unsettled|db_server_\w+)$/;
  const gauges = selectors.filter(({ metric, range }) => shopWide.test(metric) && range === null);
  assert.ok(gauges.length > 10);
  for (const { title, metric, within } of gauges) assert.match(within[0] ?? '', /^max\b/, `${title}: ${metric}`);
});

test('metrics that every target has are taken of the shop alone', () => {
  const common = expressions.filter(({ expr }) => /\b(up|scrape_\w+|process_\w+)\{/.test(expr));
  assert.ok(common.length > 5);
  for (const { where, expr } of common) assert.match(expr, /\bshop_build_info\{/, where);
});

test("a summary's quantiles are kept apart by instance, and the panel says so", () => {
  const quantiles = selectors.filter(({ matchers }) => matchers.some((matcher) => matcher.startsWith('quantile=')));
  assert.ok(quantiles.length > 3);
  for (const { title, within } of quantiles) {
    assert.match(within[0] ?? '', /^max by \(instance, operation, table\)$/, title);
    const { description = '' } = panels.find((panel) => panel.title === title) as Panel;
    assert.match(description, /nunca são somados nem tirada a média entre instâncias/, title);
  }
  assert.ok(selectors.every(({ within }) => !within.some((name) => name.startsWith('avg')) || within.length === 1));
});

test('pages are the same routes as in the recording rules', () => {
  const [recorded, ...others] = new Set(
    Array.from(read('monitoring/prometheus/rules/recording.yml').matchAll(/route!~"([^"]+)"/g), ([, routes]) => routes),
  );
  assert.deepEqual(others, []);
  const excluded = selectors.flatMap(({ matchers }) =>
    matchers.filter((matcher) => matcher.startsWith('route!~')).map((matcher) => matcher.slice('route!~"'.length, -1)),
  );
  assert.deepEqual(new Set(excluded), new Set([recorded]));
});

test('recorded series are those of the recording rules', () => {
  const recorded = Array.from(
    read('monitoring/prometheus/rules/recording.yml').matchAll(/- record: (\S+)/g),
    ([, name]) => name,
  );
  const used = new Set(selectors.filter(isRecorded).map(({ metric }) => metric));
  assert.ok(used.size > 5);
  for (const metric of used) assert.ok(recorded.includes(metric), `no rule records ${metric}`);
});

test("k6's series and their labels are those that k6 writes with the settings of docker-compose.yml", () => {
  const written = k6Series(0);
  const used = selectors.filter(({ metric }) => metric.startsWith('k6_'));
  assert.ok(used.length > 20, `${used.length} series of k6`);
  for (const { title, metric, matchers, within } of used) {
    const series = written.filter((each) => each.metric === metric);
    assert.ok(series.length > 0, `${title}: k6 does not write ${metric}`);
    const groups = within.flatMap((name) => / by \((.+)\)/.exec(name)?.[1]?.split(', ') ?? []);
    const labels = [...groups, ...matchers.map((matcher) => matcher.split('=')[0] ?? '')];
    for (const label of labels) assert.ok(label in (series[0]?.labels ?? {}), `${title}: ${metric} has no ${label}`);
  }
});

test('graphs of histograms ask for exemplars', () => {
  const histograms = targets.filter(({ expr, instant }) => expr.includes('_bucket{') && !instant);
  assert.ok(histograms.length > 10);
  for (const { title, exemplar } of histograms) assert.equal(exemplar, true, title);
});

test('no address is used twice, and neither is the number of a panel', () => {
  assert.equal(new Set(dashboards.map(({ uid }) => uid)).size, dashboards.length);
  for (const dashboard of dashboards) {
    assert.match(dashboard.uid, /^[a-z-]{8,40}$/);
    const ids = boxesOf(dashboard).map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, dashboard.title);
  }
});

test('links lead to dashboards and to sections of the runbook that exist', () => {
  const uids = dashboards.map(({ uid }) => uid);
  const tags = dashboards.flatMap((dashboard) => dashboard.tags);
  const anchors = anchorsOf(read('docs/operations.md'));
  let [toDashboards, toSections] = [0, 0];
  for (const { title, url = '', type, tags: wanted = [] } of [...dashboards, ...panels].flatMap(
    (each) => each.links ?? [],
  )) {
    const [, uid] = /^\/d\/([\w-]+)\?/.exec(url) ?? [];
    const [runbook, anchor] = /^\$\{runbook:raw\}(?:#([\w-]+))?$/.exec(url) ?? [];
    if (type === 'dashboards') assert.ok(wanted.length > 0 && wanted.every((tag) => tags.includes(tag)), title);
    else if (uid !== undefined) assert.ok(uids.includes(uid), `${title}: no dashboard ${uid}`);
    else assert.ok(runbook, `${title}: ${url}`);
    if (anchor !== undefined) assert.ok(anchors.includes(anchor), `${title}: docs/operations.md has no #${anchor}`);
    if (uid !== undefined) toDashboards++;
    if (anchor !== undefined) toSections++;
  }
  assert.ok(toDashboards > 5 && toSections > 30, `${toDashboards} and ${toSections}`);
  for (const { title, templating } of dashboards) {
    assert.ok(
      templating.list.some(({ name }) => name === 'runbook'),
      title,
    );
  }
});

/** The anchors of a page's headings, as scripts/runbook.mjs and GitHub make them. */
function anchorsOf(page: string): string[] {
  return Array.from(page.matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

test('variables that an expression uses exist', () => {
  const ownOf = ({ templating }: Dashboard) => templating.list.map(({ name }) => name);
  for (const dashboard of dashboards) {
    const known = [...ownOf(dashboard), '__rate_interval', '__range'];
    for (const { where, expr } of expressionsOf(dashboard)) {
      for (const [, name = ''] of expr.matchAll(/\$(\w+)/g)) assert.ok(known.includes(name), `${where}: $${name}`);
    }
  }
});

test('texts are Portuguese', () => {
  const texts = dashboards.flatMap((dashboard) => [
    dashboard.description,
    ...panelsOf(dashboard).map(({ description = '' }) => description),
    ...panelsOf(dashboard).map(({ fieldConfig }) => fieldConfig?.defaults.noValue ?? ''),
  ]);
  const labels = dashboards.flatMap(({ templating, annotations }) => [
    ...templating.list.map(({ label }) => label),
    ...annotations.list.map(({ name }) => name),
  ]);
  for (const text of [...texts, ...labels]) {
    assert.ok(text !== '', 'an empty text');
    assert.doesNotMatch(text, /\b(the|of|and|is|are|with|from|by|no data)\b/i);
  }
  for (const text of texts.filter((each) => each.length > 40)) {
    assert.match(text, /\b(o|a|os|as|de|do|da|que|em|no|na|por|não|é)\b/);
  }
});

test('panels do not overlap, and none is wider than the grid', () => {
  for (const dashboard of dashboards) {
    const taken = new Map<string, string>();
    for (const { title, gridPos } of boxesOf(dashboard)) {
      assert.ok(gridPos.x >= 0 && gridPos.x + gridPos.w <= 24, `${dashboard.title}: ${title}`);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          const other = taken.get(`${x} ${y}`);
          assert.equal(other, undefined, `${dashboard.title}: ${title} lies on ${other}`);
          taken.set(`${x} ${y}`, title);
        }
      }
    }
  }
});
