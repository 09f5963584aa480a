import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { projectRoot } from '../../src/paths.ts';

/** The parts of Grafana's dashboards that the tests read. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly editable: boolean;
  readonly tags: readonly string[];
  readonly links: readonly Link[];
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: { readonly list: readonly Annotation[] };
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly collapsed?: boolean;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly noValue?: string;
      readonly thresholds?: { steps: unknown[] };
    };
    readonly overrides: readonly { readonly properties: readonly { readonly id: string; readonly value: unknown }[] }[];
  };
  readonly links?: readonly Link[];
  /** Of a folded row. */
  readonly panels?: readonly Panel[];
}

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly instant?: boolean;
  readonly exemplar?: boolean;
  readonly datasource: { readonly uid: string };
}

export interface Link {
  readonly type: string;
  readonly title: string;
  readonly url?: string;
  readonly tags?: readonly string[];
}

export interface Variable {
  readonly name: string;
  readonly type: string;
  readonly label: string;
  readonly query: string | { readonly query: string };
  readonly datasource?: { readonly uid: string };
  readonly multi?: boolean;
  readonly includeAll?: boolean;
  readonly allValue?: string;
  readonly refresh?: number;
}

export interface Annotation {
  readonly name: string;
  readonly datasource: { readonly uid: string };
  readonly target: { readonly expr: string };
}

const FOLDER = 'monitoring/grafana/dashboards';

/** The committed dashboards, by file name. */
export function readDashboards(): ReadonlyMap<string, Dashboard> {
  const files = readdirSync(join(projectRoot, FOLDER)).filter((name) => name.endsWith('.json'));
  return new Map(files.map((name) => [name, JSON.parse(readFileSync(join(projectRoot, FOLDER, name), 'utf8'))]));
}

/** All panels that show something, those of folded rows included. */
export function panelsOf({ panels }: Dashboard): Panel[] {
  return panels.flatMap((panel) => (panel.type === 'row' ? (panel.panels ?? []) : [panel]));
}

/** Rows and panels. */
export function boxesOf({ panels }: Dashboard): Panel[] {
  return panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
}

/** An expression of a dashboard, and where it stands. */
export interface Expression {
  readonly where: string;
  readonly expr: string;
  /** Evaluated at one moment instead of over the period. */
  readonly instant: boolean;
}

/** The expressions of all panels and annotations. */
export function expressionsOf(dashboard: Dashboard): Expression[] {
  const ofPanels = panelsOf(dashboard).flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr, instant = false }) => ({ where: `${title} (${refId})`, expr, instant })),
  );
  const ofAnnotations = dashboard.annotations.list.map(({ name, target }) => ({
    where: `annotation ${name}`,
    expr: target.expr,
    instant: false,
  }));
  return [...ofPanels, ...ofAnnotations].map((each) => ({ ...each, where: `${dashboard.title}: ${each.where}` }));
}

/** Whether an expression asks for a metric that has native buckets alone. */
export function needsNativeHistograms({ expr }: Expression): boolean {
  return expr.includes('shop_db_operation_duration_histogram_seconds');
}

/** The variables that ask Prometheus for the values of a label: `label_values(selector, label)`. */
export function labelQueriesOf({ templating }: Dashboard): { name: string; selector: string; label: string }[] {
  return templating.list
    .filter(({ type }) => type === 'query')
    .map(({ name, query }) => {
      const text = typeof query === 'string' ? query : query.query;
      const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(text) ?? [];
      if (selector === undefined || label === undefined) throw new Error(`${name}: no label_values: ${text}`);
      return { name, selector, label };
    });
}

/**
 * Replaces `$name`, `${name}` and `${name:format}` as Grafana does, and leaves unknown names as they are.
 * https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
 *
 * @param values texts that are put in as they are
 */
export function interpolate(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\w+)|\$\{(\w+)(?::[^}]+)?\}/g, (whole, plain, braced) => values[plain ?? braced] ?? whole);
}

/** The chosen values of a variable as Grafana writes them for Prometheus: escaped, several as alternatives. */
export function asRegex(values: readonly string[]): string {
  const escaped = values.map((value) => value.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&'));
  return escaped.length === 1 ? (escaped[0] as string) : `(${escaped.join('|')})`;
}

/** A metric in an expression, with what stands around it. */
export interface Selector {
  readonly metric: string;
  /** Label, operator and quoted value: `job=~"$job"`. */
  readonly matchers: readonly string[];
  /** What is in the brackets of a range vector: `$__rate_interval`. */
  readonly range: string | null;
  /** Functions and aggregations around it with their grouping, from the inside: `rate`, `sum by (route)`. */
  readonly within: readonly string[];
}

/** Stands for a duration while an expression is parsed: the grammar knows no variables. */
const DURATIONS: Readonly<Record<string, string>> = { __rate_interval: '1111s', __range: '2222s', __interval: '3333s' };

/**
 * Reads the metrics in an expression.
 *
 * @throws {SyntaxError} when it is no PromQL
 */
export function selectorsIn(expr: string): Selector[] {
  const text = interpolate(expr, DURATIONS);
  const restore = (part: string) =>
    Object.entries(DURATIONS).reduce((restored, [name, value]) => restored.replaceAll(value, `$${name}`), part);
  const read = ({ from, to }: { from: number; to: number }) => restore(text.slice(from, to));
  const found: Selector[] = [];
  parser.parse(text).iterate({
    enter({ node, type }) {
      if (type.isError) throw new SyntaxError(`no PromQL near "${text.slice(node.from, node.from + 20)}": ${expr}`);
      if (type.name !== 'VectorSelector') return;
      const name = node.getChild('Identifier');
      const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
      const duration = node.parent?.name === 'MatrixSelector' ? node.parent.getChild('DurationExpr') : null;
      found.push({
        metric: name ? read(name) : '',
        matchers: matchers.map(read),
        range: duration ? read(duration) : null,
        within: around(node, read),
      });
    },
  });
  return found;
}

type SyntaxNode = ReturnType<typeof parser.parse>['topNode'];

function around(selector: SyntaxNode, read: (node: SyntaxNode) => string): string[] {
  const names: string[] = [];
  for (let node = selector.parent; node; node = node.parent) {
    const function_ = node.getChild('FunctionIdentifier');
    const operator = node.name === 'AggregateExpr' ? node.getChild('AggregateOp') : null;
    const modifier = node.getChild('AggregateModifier');
    if (node.name === 'FunctionCall' && function_) names.push(read(function_));
    if (operator) names.push(modifier ? `${read(operator)} ${read(modifier)}` : read(operator));
  }
  return names;
}
