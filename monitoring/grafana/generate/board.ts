import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import { DATA_SOURCE, type PanelBuilder, type PanelLink } from './panels.ts';
import { aggregate, NOT_PAGES, ofShop, series } from './promql.ts';

/** Width of Grafana's grid. */
export const GRID_WIDTH = 24;

/** Links of a dashboard lead to all dashboards with this tag. */
const TAG = 'fake-shop';

export interface Board {
  /** Part of the address, `/d/<uid>`: never changed, so that bookmarks stay valid. */
  readonly uid: Uid;
  readonly title: string;
  /** The reader and the question that it answers. */
  readonly description: string;
  readonly sections: readonly Section[];
  /** Adds the variable `route`. @default no variable; `all` or a route is what is chosen at first */
  readonly route?: string;
  /** Its period at first. @default `now-1h` */
  readonly from?: string;
}

/** The addresses of the dashboards. */
export const UIDS = {
  overview: 'fake-shop-visao-geral',
  business: 'fake-shop-negocio',
  checkout: 'fake-shop-checkout',
  postgresql: 'fake-shop-postgresql',
  fleet: 'fake-shop-frota',
  load: 'fake-shop-carga',
} as const;
type Uid = (typeof UIDS)[keyof typeof UIDS];

export interface Section {
  readonly title: string;
  /** Starts folded: its queries run when it is opened. */
  readonly folded?: boolean;
  readonly lines: readonly Line[];
}

/** Panels side by side. */
export interface Line {
  /** In units of Grafana's grid, of 38 pixels with their gap. */
  readonly height: number;
  readonly panels: readonly (readonly [width: number, panel: PanelBuilder])[];
}

export function line(height: number, ...panels: Line['panels']): Line {
  return { height, panels };
}

/** Keeps time and variables, so that the reader goes on from the same instances. */
const KEEP = `\${datasource:queryparam}&\${job:queryparam}&\${instance:queryparam}&\${__url_time_range}`;

/** A panel's link to another dashboard. */
export function toBoard(title: string, board: keyof typeof UIDS): PanelLink {
  return { title, url: `/d/${UIDS[board]}?${KEEP}` };
}

/** `raw`: Grafana must not encode the address. */
const RUNBOOK_LINK = `\${runbook:raw}`;

/** A panel's link to a section of docs/operations.md, which every primary serves. @param anchor as GitHub makes it */
export function toRunbook(anchor: string): PanelLink {
  return { title: 'O que fazer (runbook)', url: `${RUNBOOK_LINK}#${anchor}` };
}

const ALL: dashboard.VariableOption = { text: 'All', value: '$__all', selected: true };

/** A variable that has the values of a label; several can be chosen. */
function labelVariable(name: string, label: string, selector: string, chosen = 'all'): dashboard.QueryVariableBuilder {
  const query = `label_values(${selector}, ${name})`;
  return new dashboard.QueryVariableBuilder(name)
    .label(label)
    .datasource(DATA_SOURCE)
    .query({ query, refId: `variable-${name}` })
    .definition(query)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.+')
    .current(chosen === 'all' ? ALL : { text: [chosen], value: [chosen], selected: true });
}

function variables({ route }: Board): Builder<dashboard.VariableModel>[] {
  const all = [
    new dashboard.DatasourceVariableBuilder('datasource').label('Fonte de dados').type('prometheus'),
    labelVariable('job', 'Job', 'shop_build_info'),
    labelVariable('instance', 'Instância', 'shop_build_info{job=~"$job"}'),
    ...(route === undefined
      ? []
      : [
          labelVariable('route', 'Rota', series('http_request_duration_seconds_count', `route!~"${NOT_PAGES}"`), route),
        ]),
    // Hidden: one address for everybody. Set it in the dashboard's own address, `?var-runbook=https://…`.
    new dashboard.TextBoxVariableBuilder('runbook')
      .label('Endereço do runbook')
      .defaultValue(RUNBOOK)
      .hide(dashboard.VariableHide.HideVariable),
  ];
  return all;
}

/** The primary of the compose file and of `npm start`; the alerts' links lead there too. */
const RUNBOOK = 'http://127.0.0.1:9464/runbook';

/** Annotations are looked for once a minute, and each look covers the time since the one before. */
const ANNOTATION_STEP = '60s';

interface Annotation {
  readonly name: string;
  readonly color: string;
  readonly expr: string;
  readonly title: string;
  readonly text: string;
  /** The value is the event's time in milliseconds. */
  readonly valueIsTime?: boolean;
}

const ANNOTATIONS: readonly Annotation[] = [
  {
    name: 'Início de uma instância',
    color: 'orange',
    // The primary's own start. When it starts anew, all counters of the instance do.
    expr: ofShop('process_start_time_seconds', '* 1000'),
    title: 'Instância iniciada',
    text: '{{instance}} começou: seus contadores recomeçam em zero',
    valueIsTime: true,
  },
  {
    name: 'Troca de worker',
    color: 'red',
    expr: `${aggregate('sum', `increase(${series('shop_worker_restarts_total', 'reason!="reload"')}[$__rate_interval])`, 'instance, reason')} > 0`,
    title: 'Worker trocado',
    text: '{{instance}}: motivo {{reason}}',
  },
  {
    name: 'Implantação',
    color: 'blue',
    // A revision that runs, and did not one interval before.
    expr: `${aggregate('count', series('shop_build_info'), 'version, revision')} unless ${aggregate('count', `${series('shop_build_info')} offset $__rate_interval`, 'version, revision')}`,
    title: 'Implantação',
    text: 'versão {{version}}, revisão {{revision}}',
  },
];

function annotationBuilder(annotation: Annotation): Builder<dashboard.AnnotationQuery> {
  const { name, color, expr, title, text, valueIsTime = false } = annotation;
  return new dashboard.AnnotationQueryBuilder()
    .name(name)
    .datasource(DATA_SOURCE)
    .enable(true)
    .iconColor(color)
    .target(
      new prometheus.DataqueryBuilder()
        .refId('annotation')
        .expr(expr)
        .interval(ANNOTATION_STEP)
        .range()
        .legendFormat(''),
    )
    .titleFormat(title)
    .textFormat(text)
    .useValueForTime(valueIsTime);
}

/**
 * Makes a dashboard in Grafana's classic form, which file provisioning reads in every supported version.
 *
 * @throws {Error} when the panels of a line do not fill the grid's width
 */
export function buildBoard(board: Board): dashboard.Dashboard {
  const builder = new dashboard.DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags([TAG])
    .readonly()
    .timezone('browser')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .time({ from: board.from ?? 'now-1h', to: 'now' })
    .refresh('30s')
    .variables(variables(board))
    .annotations(ANNOTATIONS.map(annotationBuilder))
    .links([
      new dashboard.DashboardLinkBuilder('Dashboards da loja')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(false)
        .includeVars(true)
        .keepTime(true),
      new dashboard.DashboardLinkBuilder('Runbook')
        .type(dashboard.DashboardLinkType.Link)
        .icon('doc')
        .tooltip('O que fazer em cada falha')
        .url(RUNBOOK_LINK)
        .targetBlank(true),
    ]);
  let id = 1;
  let y = 0;
  for (const { title, folded = false, lines } of board.sections) {
    const row = new dashboard.RowBuilder(title)
      .id(id++)
      .collapsed(folded)
      .gridPos({ x: 0, y: y++, w: GRID_WIDTH, h: 1 });
    const panels = lines.flatMap((each) => {
      const placed = placeLine(each, y, board);
      y += each.height;
      return placed;
    });
    // The panels of a folded row are inside it, those of an open one follow it.
    for (const panel of panels) panel.id = id++;
    if (folded) for (const panel of panels) row.withPanel({ build: () => panel });
    builder.withRow(row);
    if (!folded) for (const panel of panels) builder.withPanel({ build: () => panel });
  }
  return builder.build();
}

function placeLine({ height, panels }: Line, y: number, board: Board): dashboard.Panel[] {
  let x = 0;
  const placed = panels.map(([width, builder]) => {
    const panel = builder.build();
    panel.gridPos = { x, y, w: width, h: height };
    x += width;
    return panel;
  });
  if (x !== GRID_WIDTH) throw new Error(`${board.title}: a line is ${x} wide: ${placed.map(({ title }) => title)}`);
  return placed;
}
