import * as barGauges from '@grafana/grafana-foundation-sdk/bargauge';
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as heatmaps from '@grafana/grafana-foundation-sdk/heatmap';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stats from '@grafana/grafana-foundation-sdk/stat';
import * as stateTimelines from '@grafana/grafana-foundation-sdk/statetimeline';
import * as tables from '@grafana/grafana-foundation-sdk/table';
import * as timeSeriesPanels from '@grafana/grafana-foundation-sdk/timeseries';

/** The data source that the viewer has chosen: no dashboard names one of its own. */
export const DATA_SOURCE = { type: 'prometheus', uid: '$datasource' };

/** One expression and the name of its series, which may have labels: `{{instance}}`. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** Colours from a value on; the first value is null. */
export type Steps = readonly (readonly [from: number | null, color: 'green' | 'orange' | 'red' | 'blue'])[];

export interface PanelLink {
  readonly title: string;
  readonly url: string;
}

/** What all kinds of panels have. Texts are Portuguese. */
interface Common {
  readonly title: string;
  /** What the panel shows, and how to read it. */
  readonly description: string;
  /** Grafana's name of the unit. */
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  readonly steps?: Steps;
  /** Shown in the place of data. */
  readonly noValue?: string;
  readonly links?: readonly PanelLink[];
  /** Portuguese names for the series whose names are words of the metrics. */
  readonly names?: Readonly<Record<string, string>>;
}

/** Every panel of the dashboards, before it has its place. */
export type PanelBuilder = Builder<dashboard.Panel>;

/** The methods that all kinds of the SDK's panels have; each returns the panel that it has changed. */
type AnyPanelBuilder = {
  readonly [Method in
    | 'datasource'
    | 'decimals'
    | 'description'
    | 'links'
    | 'max'
    | 'min'
    | 'noValue'
    | 'overrideByName'
    | 'thresholds'
    | 'title'
    | 'unit'
    | 'withTarget']: (...values: Parameters<timeSeriesPanels.PanelBuilder[Method]>) => unknown;
};

const NO_DATA = 'Sem dados no período';
const LETTER_A = 65;

type Form = 'range' | 'instant' | 'heatmap' | 'table';

function target({ expr, legend }: Query, position: number, form: Form): Builder<Dataquery> {
  const query = new prometheus.DataqueryBuilder()
    .datasource(DATA_SOURCE)
    .refId(String.fromCharCode(LETTER_A + position))
    .expr(expr)
    .editorMode(prometheus.QueryEditorMode.Code)
    .legendFormat(legend);
  if (form === 'table' || form === 'instant') {
    query.instant();
  } else {
    // Only a histogram's buckets carry exemplars.
    query.range().exemplar(expr.includes('_bucket{'));
  }
  if (form === 'heatmap') query.format(prometheus.PromQueryFormat.Heatmap);
  if (form === 'table') query.format(prometheus.PromQueryFormat.Table);
  return query;
}

const STEADY: Steps = [[null, 'blue']];

function fill<Panel extends AnyPanelBuilder>(panel: Panel, spec: Common, form: Form): Panel {
  const { title, description, unit, queries, decimals, min, max, steps = STEADY, links = [], names = {} } = spec;
  panel.title(title);
  panel.description(description);
  panel.datasource(DATA_SOURCE);
  panel.unit(unit);
  panel.noValue(spec.noValue ?? NO_DATA);
  for (const [position, query] of queries.entries()) panel.withTarget(target(query, position, form));
  if (decimals !== undefined) panel.decimals(decimals);
  if (min !== undefined) panel.min(min);
  if (max !== undefined) panel.max(max);
  panel.thresholds(
    new dashboard.ThresholdsConfigBuilder()
      .mode(dashboard.ThresholdsMode.Absolute)
      .steps(steps.map(([value, color]) => ({ value, color }))),
  );
  if (links.length > 0) panel.links(links.map(linkBuilder));
  for (const [word, name] of Object.entries(names)) panel.overrideByName(word, [{ id: 'displayName', value: name }]);
  return panel;
}

function linkBuilder({ title, url }: PanelLink): dashboard.DashboardLinkBuilder {
  return new dashboard.DashboardLinkBuilder(title).type(dashboard.DashboardLinkType.Link).url(url).targetBlank(true);
}

export interface TimeSeriesSpec extends Common {
  /** `percent` shows parts of the whole. */
  readonly stack?: 'normal' | 'percent';
  /** A dashed line at each step, where the colour changes. */
  readonly showSteps?: boolean;
  /** Fixed colours by the name of a series. */
  readonly colors?: Readonly<Record<string, string>>;
  /** Column by which the legend's table is sorted; `lastNotNull` is the latest value. */
  readonly sortedBy?: 'max' | 'lastNotNull';
}

/** Values over time, with a table of them below: the latest and the highest. */
export function timeSeries(spec: TimeSeriesSpec): PanelBuilder {
  const { stack, showSteps = false, colors = {}, sortedBy = 'lastNotNull' } = spec;
  const panel = fill(new timeSeriesPanels.PanelBuilder(), spec, 'range')
    .lineWidth(1)
    .fillOpacity(stack ? 40 : 8)
    .showPoints(common.VisibilityMode.Auto)
    .axisSoftMin(0)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max'])
        .sortBy(sortedBy === 'max' ? 'Max' : 'Last *')
        .sortDesc(true),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    );
  if (stack) {
    panel.stacking(
      new common.StackingConfigBuilder().mode(
        stack === 'percent' ? common.StackingMode.Percent : common.StackingMode.Normal,
      ),
    );
  }
  if (showSteps) {
    panel.thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  }
  for (const [name, color] of Object.entries(colors)) {
    panel.overrideByName(name, [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }]);
  }
  return panel;
}

export interface StatSpec extends Common {
  /** A sparkline of the period behind the value. */
  readonly course?: boolean;
  /** Shows the name of the series too, where it is the answer. */
  readonly named?: boolean;
}

/** One value per series, large enough for a wall. */
export function stat({ course = false, named = false, ...spec }: StatSpec): PanelBuilder {
  return fill(new stats.PanelBuilder(), spec, course ? 'range' : 'instant')
    .textMode(named ? common.BigValueTextMode.ValueAndName : common.BigValueTextMode.Auto)
    .graphMode(course ? common.BigValueGraphMode.Area : common.BigValueGraphMode.None)
    .colorMode(spec.steps ? common.BigValueColorMode.BackgroundSolid : common.BigValueColorMode.Value)
    .reduceOptions(latest());
}

/** Values now, as bars from the top to the bottom in the order of the queries. */
export function barGauge(spec: Common): PanelBuilder {
  return fill(new barGauges.PanelBuilder(), spec, 'instant')
    .orientation(common.VizOrientation.Horizontal)
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .valueMode(common.BarGaugeValueMode.Color)
    .reduceOptions(latest());
}

function latest(): common.ReduceDataOptionsBuilder {
  return new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false).fields('');
}

/** How many observations fell into each range of values, over time. The query gives buckets; `unit` is that of the values. */
export function heatmap(spec: Common): PanelBuilder {
  return fill(new heatmaps.PanelBuilder(), spec, 'heatmap')
    .calculate(false)
    .color(
      new heatmaps.HeatmapColorOptionsBuilder()
        .mode(heatmaps.HeatmapColorMode.Scheme)
        .scheme('Oranges')
        .scale(heatmaps.HeatmapColorScale.Exponential)
        .exponent(0.5)
        .steps(64),
    )
    .yAxis(new heatmaps.YAxisConfigBuilder().unit(spec.unit).axisPlacement(common.AxisPlacement.Left))
    .cellValues(new heatmaps.CellValuesBuilder().unit('reqps'))
    .rowsFrame(new heatmaps.RowsHeatmapOptionsBuilder().layout(common.HeatmapCellLayout.Auto))
    .tooltip(
      new heatmaps.HeatmapTooltipBuilder().mode(common.TooltipDisplayMode.Single).yHistogram(true).showColorScale(true),
    )
    .exemplarsColor('rgba(255,0,255,0.7)')
    .showLegend();
}

export interface TableSpec extends Omit<Common, 'queries' | 'names'> {
  /** Columns in their order: a label by its name, or a query whose values fill the column. */
  readonly columns: readonly TableColumn[];
  /** Title of the column whose highest values come first. */
  readonly sortedBy: string;
}

interface TableColumn {
  readonly title: string;
  readonly label?: string;
  readonly expr?: string;
  /** Unit of this column; default: the table's. */
  readonly unit?: string;
}

/** The series of several instant queries, joined by their labels: one line for each set of labels. */
export function table({ columns, sortedBy, ...spec }: TableSpec): PanelBuilder {
  const valued = columns.filter(({ expr }) => expr !== undefined);
  const queries = valued.map(({ expr = '', title }) => ({ expr, legend: title }));
  // With one query Grafana calls the column `Value`, with several `Value #A`, and so on.
  const fieldOf = (column: TableColumn) => {
    if (column.label !== undefined) return column.label;
    return valued.length === 1 ? 'Value' : `Value #${String.fromCharCode(LETTER_A + valued.indexOf(column))}`;
  };
  const panel = fill(new tables.PanelBuilder(), { ...spec, queries }, 'table')
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: { Time: true },
        indexByName: Object.fromEntries(columns.map((column, position) => [fieldOf(column), position])),
        renameByName: Object.fromEntries(columns.map((column) => [fieldOf(column), column.title])),
      },
    })
    .sortBy([new common.TableSortByFieldStateBuilder().displayName(sortedBy).desc(true)]);
  for (const { title, unit } of columns) {
    if (unit !== undefined) panel.overrideByName(title, [{ id: 'unit', value: unit }]);
  }
  return panel;
}

export interface StateTimelineSpec extends Common {
  /** What each value means, with its colour. */
  readonly states: readonly { readonly value: number; readonly text: string; readonly color: string }[];
}

/** One bar for each series over time, coloured by its state. */
export function stateTimeline({ states, ...spec }: StateTimelineSpec): PanelBuilder {
  return fill(new stateTimelines.PanelBuilder(), spec, 'range')
    .mappings([
      {
        type: dashboard.MappingType.ValueToText,
        options: Object.fromEntries(states.map(({ value, text, color }, index) => [value, { text, color, index }])),
      },
    ])
    .showValue(common.VisibilityMode.Never)
    .mergeValues(true)
    .rowHeight(0.8);
}
