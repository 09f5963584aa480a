import { type Board, line, toBoard, toRunbook, UIDS } from './board.ts';
import { heatmap, type Query, type Steps, stat, table, timeSeries } from './panels.ts';
import { loopLag, machineCpu } from './processes.ts';
import {
  aggregate,
  buckets,
  countInstances,
  growth,
  PAGES,
  PER_INSTANCE,
  quantile,
  series,
  shopWide,
  sumRate,
} from './promql.ts';

/** What the alerts hold the shop to, over 30 days: monitoring/prometheus/rules/alerts.yml. */
const OBJECTIVES = { availability: 0.999, speed: 0.99 };

const RULES_MISSING = 'Faltam as regras de gravação, ou ainda não houve visitas';
const WHOLE_SHOP =
  'Vem das regras de gravação e vale para a loja inteira: a escolha de instâncias e rotas não muda este número.';

/** Green while most of the budget is left. */
const BUDGET_STEPS: Steps = [
  [null, 'red'],
  [0, 'orange'],
  [0.5, 'green'],
];

/** Part of the budget that is left; below 0 it is overdrawn. @param ratio recorded part of the pages that broke the level */
function budgetLeft(ratio: string, objective: number): string {
  return `1 - ${ratio} / ${allowed(objective)}`;
}

/** The part of the pages that may break the level. Rounded: 1 - 0.999 is no exact number. */
function allowed(objective: number): string {
  return String(Number((1 - objective).toFixed(6)));
}

function achieved(objective: number): Steps {
  return [
    [null, 'red'],
    [objective, 'green'],
  ];
}

/** How many times faster than allowed the budget is spent, over the windows that the alerts look at. */
function burnRates(level: string, objective: number): Query[] {
  return ['5m', '1h', '6h', '3d'].map((window) => ({
    expr: `shop:${level}:ratio${window} / ${allowed(objective)}`,
    legend: `últimos ${window}`,
  }));
}

const BURN_STEPS: Steps = [
  [null, 'green'],
  [1, 'orange'],
  [14.4, 'red'],
];

const STATUS_CLASSES = `sum by (class) (label_replace(rate(${series('http_request_duration_seconds_count', PAGES)}[$__rate_interval]), "class", "\${1}xx", "status_code", "(.).."))`;
const ERROR_RATIO = `(${sumRate('http_request_duration_seconds_count', { where: `${PAGES},status_code=~"5.."` })} or vector(0)) / (${sumRate('http_request_duration_seconds_count', { where: PAGES })} > 0)`;

/** *Visão geral*: for the CTO. */
export const overview: Board = {
  uid: UIDS.overview,
  title: 'Fake Shop · Visão geral',
  description:
    'Para a direção técnica: a loja cumpre o que promete, quanto do orçamento de erros resta, quanto tráfego há, o que falha, quão rápido se responde e o que está perto do limite.',
  route: 'all',
  sections: [
    {
      title: 'Nível de serviço',
      lines: [
        line(
          4,
          [
            6,
            stat({
              title: 'Disponibilidade, 30 dias',
              description: `Parte das páginas dos últimos 30 dias que não terminaram em erro da loja (5xx). Promessa: 99,9 %. ${WHOLE_SHOP}`,
              unit: 'percentunit',
              decimals: 3,
              steps: achieved(OBJECTIVES.availability),
              queries: [{ expr: '1 - shop:page_errors:ratio30d', legend: 'disponibilidade' }],
              noValue: RULES_MISSING,
              links: [toRunbook('many-pages-end-in-5xx')],
            }),
          ],
          [
            6,
            stat({
              title: 'Orçamento de erros que resta',
              description: `De tudo o que pode falhar em 30 dias sem quebrar a promessa, a parte que ainda resta. Abaixo de zero, a promessa está quebrada. ${WHOLE_SHOP}`,
              unit: 'percentunit',
              decimals: 1,
              steps: BUDGET_STEPS,
              queries: [{ expr: budgetLeft('shop:page_errors:ratio30d', OBJECTIVES.availability), legend: 'resta' }],
              noValue: RULES_MISSING,
              links: [toRunbook('many-pages-end-in-5xx')],
            }),
          ],
          [
            6,
            stat({
              title: 'Páginas rápidas, 30 dias',
              description: `Parte das páginas dos últimos 30 dias prontas em até 0,25 s; o envio da finalização fica fora, porque espera pelo pagamento. Promessa: 99 %. ${WHOLE_SHOP}`,
              unit: 'percentunit',
              decimals: 2,
              steps: achieved(OBJECTIVES.speed),
              queries: [{ expr: '1 - shop:slow_pages:ratio30d', legend: 'rápidas' }],
              noValue: RULES_MISSING,
              links: [toRunbook('many-pages-are-slow')],
            }),
          ],
          [
            6,
            stat({
              title: 'Orçamento de lentidão que resta',
              description: `De tudo o que pode ser lento em 30 dias sem quebrar a promessa, a parte que ainda resta. ${WHOLE_SHOP}`,
              unit: 'percentunit',
              decimals: 1,
              steps: BUDGET_STEPS,
              queries: [{ expr: budgetLeft('shop:slow_pages:ratio30d', OBJECTIVES.speed), legend: 'resta' }],
              noValue: RULES_MISSING,
              links: [toRunbook('many-pages-are-slow')],
            }),
          ],
        ),
        line(
          4,
          [
            3,
            stat({
              title: 'Páginas por segundo',
              description: 'Requisições de visitantes às rotas escolhidas, somadas sobre as instâncias.',
              unit: 'reqps',
              course: true,
              queries: [{ expr: sumRate('http_request_duration_seconds_count', { where: PAGES }), legend: 'páginas' }],
            }),
          ],
          [
            3,
            stat({
              title: 'Erros agora',
              description: 'Parte das páginas que terminam em erro da loja (5xx).',
              unit: 'percentunit',
              decimals: 2,
              course: true,
              steps: [
                [null, 'green'],
                [0.001, 'orange'],
                [0.01, 'red'],
              ],
              queries: [{ expr: ERROR_RATIO, legend: 'erros' }],
              noValue: 'Nenhuma visita',
              links: [toRunbook('many-pages-end-in-5xx')],
            }),
          ],
          [
            3,
            stat({
              title: 'Páginas, p95',
              description: '95 % das páginas são mais rápidas que isto.',
              unit: 's',
              course: true,
              steps: [
                [null, 'green'],
                [0.25, 'orange'],
                [0.5, 'red'],
              ],
              queries: [{ expr: quantile(0.95, 'http_request_duration_seconds', { where: PAGES }), legend: 'p95' }],
              noValue: 'Nenhuma visita',
              links: [toBoard('Onde o tempo é gasto', 'checkout')],
            }),
          ],
          [
            3,
            stat({
              title: 'Pessoas na loja',
              description:
                'Visitantes dos últimos 5 minutos. Vem do banco e é o mesmo em todas as instâncias: máximo, nunca soma.',
              unit: 'short',
              decimals: 0,
              course: true,
              queries: [{ expr: shopWide('shop_active_sessions'), legend: 'pessoas' }],
              noValue: 'O banco não respondeu',
              links: [toBoard('Negócio', 'business')],
            }),
          ],
          [
            3,
            stat({
              title: 'Pedidos na última hora',
              description: 'Pedidos pagos nos últimos 60 minutos.',
              unit: 'short',
              decimals: 0,
              queries: [{ expr: growth('shop_orders_total', '1h', { where: 'outcome="paid"' }), legend: 'pedidos' }],
              links: [toBoard('Negócio', 'business')],
            }),
          ],
          [
            3,
            stat({
              title: 'Receita na última hora',
              description: 'Valor dos pedidos pagos nos últimos 60 minutos, frete incluído.',
              unit: 'currencyBRL',
              decimals: 0,
              queries: [{ expr: growth('shop_order_value_brl_total', '1h'), legend: 'receita' }],
              links: [toBoard('Negócio', 'business')],
            }),
          ],
          [
            3,
            stat({
              title: 'Instâncias',
              description: 'Instâncias das quais o Prometheus obtém as métricas.',
              unit: 'short',
              decimals: 0,
              course: true,
              steps: [
                [null, 'red'],
                [1, 'green'],
              ],
              queries: [{ expr: countInstances(true), legend: 'respondem' }],
              links: [toBoard('Frota', 'fleet'), toRunbook('no-answer-to-prometheus')],
            }),
          ],
          [
            3,
            stat({
              title: 'Alertas disparados',
              description: 'Alertas da loja que disparam agora. A lista está abaixo.',
              unit: 'short',
              decimals: 0,
              course: true,
              steps: [
                [null, 'green'],
                [1, 'red'],
              ],
              queries: [
                { expr: 'count(ALERTS{alertname=~"Shop.+",alertstate="firing"}) or vector(0)', legend: 'disparados' },
              ],
              links: [toRunbook('from-an-alert-to-its-section')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Tráfego e erros',
      lines: [
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Páginas por segundo, por classe de resposta',
              description:
                '2xx e 3xx: servidas; 4xx: pedidos errados ou recusados; 5xx: erros da loja. Somado sobre as instâncias.',
              unit: 'reqps',
              stack: 'normal',
              queries: [{ expr: STATUS_CLASSES, legend: '{{class}}' }],
              colors: { '2xx': 'green', '3xx': 'blue', '4xx': 'yellow', '5xx': 'red' },
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Erros por segundo, por tipo',
              description:
                'Cada erro uma vez. internal, database, overload e worker_crash são falhas da loja; os outros são respostas certas a pedidos errados.',
              unit: 'ops',
              queries: [{ expr: sumRate('shop_errors_total', { by: 'type' }), legend: '{{type}}' }],
              noValue: 'Nenhum erro',
              links: [toRunbook('from-a-symptom-to-its-section')],
            }),
          ],
          [
            8,
            table({
              title: 'Alertas',
              description:
                'Alertas da loja: disparados (firing) e os que esperam para disparar (pending). O runbook tem uma seção para cada um.',
              unit: 'none',
              sortedBy: 'Alerta',
              noValue: 'Nenhum alerta',
              columns: [
                { title: 'Alerta', label: 'alertname' },
                { title: 'Gravidade', label: 'severity' },
                { title: 'Estado', label: 'alertstate' },
                { title: 'Instância', label: 'instance' },
                {
                  title: 'Quantos',
                  expr: 'count by (alertname, severity, alertstate, instance) (ALERTS{alertname=~"Shop.+"})',
                },
              ],
              links: [toRunbook('from-an-alert-to-its-section')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Latência',
      lines: [
        line(
          9,
          [
            12,
            heatmap({
              title: 'Páginas por duração',
              description:
                'Cada coluna mostra quantas páginas por segundo couberam em cada faixa de tempo, em todas as instâncias. Duas faixas claras separadas: uma parte das páginas espera por algo. Pontos são exemplares: o request_id de um acha a linha no log.',
              unit: 's',
              queries: [{ expr: buckets('http_request_duration_seconds', { where: PAGES }), legend: '{{le}}' }],
              noValue: 'Nenhuma visita no período',
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Páginas: mediana, p95 e p99',
              description: 'Calculados do histograma de todas as instâncias juntas, para as rotas escolhidas.',
              unit: 's',
              steps: [
                [null, 'green'],
                [0.25, 'orange'],
                [0.5, 'red'],
              ],
              showSteps: true,
              queries: [0.5, 0.95, 0.99].map((q) => ({
                expr: quantile(q, 'http_request_duration_seconds', { where: PAGES }),
                legend: q === 0.5 ? 'mediana' : `p${q * 100}`,
              })),
              noValue: 'Nenhuma visita no período',
              links: [toBoard('Onde o tempo é gasto', 'checkout')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Saturação',
      lines: [
        line(
          8,
          [
            6,
            machineCpu({
              title: 'CPU das máquinas',
              description: 'Parte dos núcleos ocupada na máquina de cada instância.',
            }),
          ],
          [
            6,
            timeSeries({
              title: 'Pools de conexões',
              description: 'Parte das conexões dos workers em uso, por instância. Em 1, as requisições esperam.',
              unit: 'percentunit',
              min: 0,
              steps: [
                [null, 'green'],
                [0.8, 'orange'],
                [1, 'red'],
              ],
              showSteps: true,
              queries: [
                {
                  expr: `${aggregate('sum', series('shop_db_connections', 'state="active"'), PER_INSTANCE)} / ${aggregate('sum', series('shop_db_connections_max'), PER_INSTANCE)}`,
                  legend: '{{instance}}',
                },
              ],
              links: [toRunbook('a-pool-is-exhausted')],
            }),
          ],
          [
            6,
            timeSeries({
              title: 'Conexões do PostgreSQL',
              description:
                'Parte das conexões que o servidor concede em uso pelo banco da loja. Vem do banco: máximo entre as instâncias.',
              unit: 'percentunit',
              min: 0,
              max: 1,
              steps: [
                [null, 'green'],
                [0.7, 'orange'],
                [0.9, 'red'],
              ],
              showSteps: true,
              queries: [
                {
                  expr: `${aggregate('sum', shopWide('shop_db_server_connections', { by: 'state' }))} / ${shopWide('shop_db_server_connections_max')}`,
                  legend: 'em uso',
                },
              ],
              noValue: 'O banco não respondeu',
              links: [toRunbook('too-many-connections'), toBoard('PostgreSQL', 'postgresql')],
            }),
          ],
          [
            6,
            loopLag({
              title: 'Atraso do event loop, p99',
              description:
                'O worker mais lento de cada instância nos últimos 30 a 60 s. Alto: falta CPU, ou código bloqueia.',
            }),
          ],
        ),
      ],
    },
    {
      title: 'Consumo dos orçamentos',
      lines: [
        line(
          8,
          [
            12,
            timeSeries({
              title: 'Orçamento de erros: velocidade do consumo',
              description: `Quantas vezes mais rápido que o permitido o orçamento é gasto. Em 1, ele acaba em 30 dias; em 14,4, em 50 horas. Os alertas comparam uma janela longa com uma curta. ${WHOLE_SHOP}`,
              unit: 'short',
              steps: BURN_STEPS,
              showSteps: true,
              queries: burnRates('page_errors', OBJECTIVES.availability),
              noValue: RULES_MISSING,
              links: [toRunbook('many-pages-end-in-5xx')],
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Orçamento de lentidão: velocidade do consumo',
              description: `O mesmo para páginas que levam mais de 0,25 s. ${WHOLE_SHOP}`,
              unit: 'short',
              steps: BURN_STEPS,
              showSteps: true,
              queries: burnRates('slow_pages', OBJECTIVES.speed),
              noValue: RULES_MISSING,
              links: [toRunbook('many-pages-are-slow')],
            }),
          ],
        ),
      ],
    },
  ],
};
