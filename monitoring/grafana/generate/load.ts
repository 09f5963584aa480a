import { type Board, line, toBoard, toRunbook, UIDS } from './board.ts';
import { stat, table, timeSeries } from './panels.ts';
import { workerCpu } from './processes.ts';
import { aggregate, NOT_PAGES, quantile, series, sumRate } from './promql.ts';

/*
 * k6 writes its metrics to Prometheus by remote write, with the settings of the service `k6` in docker-compose.yml. Its
 * series have neither `job` nor `instance`. A trend is one gauge for each statistic (`_p95`), a rate one gauge (`_rate`):
 * both cover the time since the start of the test, not the last interval.
 * https://grafana.com/docs/k6/latest/results-output/real-time/prometheus-remote-write/
 */

/** One kind of request. The scripts give it the name of its route, as the shop does. */
const PER_REQUEST = 'name, method, status';
const REQUEST = '{{name}} · {{method}} {{status}}';
const QUANTILES = ['p50', 'p95', 'p99', 'max'] as const;

/** The shop's view of the same requests. Checks of health and scrapes are none of k6's. */
const PAGES = `route!~"${NOT_PAGES}"`;

const NO_TEST = 'Nenhum teste do k6 no período';
const SINCE_START = 'Desde o início do teste, não só do último intervalo: o k6 não recomeça a contar.';
const REQUESTS = 'k6_http_reqs_total';
const FAILED_REQUESTS = `${REQUESTS}{expected_response="false"}`;

/** Growth per second of one of k6's counters. */
function rate(counter: string, by = ''): string {
  return aggregate('sum', `rate(${counter}[$__rate_interval])`, by);
}

/** Growth of one of k6's counters over the dashboard's period. */
function growth(counter: string): string {
  return aggregate('sum', `increase(${counter}[$__range])`);
}

/** The last value in the period, also when the test has ended: then it is the result of the whole test. */
function result(operator: 'max' | 'min', gauge: string, by = ''): string {
  return aggregate(operator, `last_over_time(${gauge}[$__range])`, by);
}

/** *Carga (k6)*: for who loads the shop. */
export const load: Board = {
  uid: UIDS.load,
  title: 'Fake Shop · Carga (k6)',
  description:
    'Para quem carrega a loja com o k6: o que o cliente mediu e o que a loja mediu no mesmo instante, lado a lado. Quem é o limite?',
  from: 'now-15m',
  sections: [
    {
      title: 'O teste',
      lines: [
        line(
          4,
          [
            4,
            stat({
              title: 'Usuários virtuais',
              description: 'Usuários virtuais (VUs) que o k6 tem em ação agora.',
              unit: 'short',
              decimals: 0,
              course: true,
              queries: [{ expr: aggregate('sum', 'k6_vus'), legend: 'usuários' }],
              noValue: NO_TEST,
            }),
          ],
          [
            4,
            stat({
              title: 'Requisições do k6 por segundo',
              description: 'Todas as requisições que o k6 encerrou, por segundo. Cada redirecionamento conta.',
              unit: 'reqps',
              course: true,
              queries: [{ expr: rate(REQUESTS), legend: 'requisições' }],
              noValue: NO_TEST,
            }),
          ],
          [
            4,
            stat({
              title: 'Requisições com falha',
              description: `Parte das requisições cuja resposta o roteiro do k6 não esperava, ou que não tiveram resposta. Um cartão recusado (422) é esperado; em stress e spike, também um 503. ${SINCE_START}`,
              unit: 'percentunit',
              decimals: 2,
              steps: [
                [null, 'green'],
                [0.0001, 'orange'],
                [0.01, 'red'],
              ],
              queries: [{ expr: result('max', 'k6_unexpected_rate'), legend: 'falhas' }],
              noValue: NO_TEST,
              links: [toRunbook('many-pages-end-in-5xx')],
            }),
          ],
          [
            4,
            stat({
              title: 'Pior verificação',
              description: `Parte das vezes em que passou a verificação (check) que mais falhou. O roteiro exige 100 %. ${SINCE_START}`,
              unit: 'percentunit',
              decimals: 2,
              steps: [
                [null, 'red'],
                [1, 'green'],
              ],
              queries: [{ expr: result('min', 'k6_checks_rate'), legend: 'passou' }],
              noValue: NO_TEST,
            }),
          ],
          [
            4,
            stat({
              title: 'Jornadas no período',
              description:
                'Iterações do roteiro que o k6 encerrou: cada uma é a jornada inteira de um comprador. Os primeiros segundos do teste faltam na conta.',
              unit: 'short',
              decimals: 0,
              queries: [{ expr: growth('k6_iterations_total'), legend: 'jornadas' }],
              noValue: NO_TEST,
            }),
          ],
          [
            4,
            stat({
              title: 'Jornada, p95',
              description: `Duração de uma jornada: 95 em 100 foram mais curtas. ${SINCE_START}`,
              unit: 's',
              queries: [{ expr: result('max', 'k6_iteration_duration_p95'), legend: 'p95' }],
              noValue: NO_TEST,
            }),
          ],
        ),
      ],
    },
    {
      title: 'O k6 à esquerda, a loja à direita',
      lines: [
        line(
          8,
          [
            12,
            timeSeries({
              title: 'Usuários virtuais no tempo',
              description: 'Usuários virtuais em ação, e quantos o k6 pode pôr em ação sem criar outros.',
              unit: 'short',
              queries: [
                { expr: aggregate('sum', 'k6_vus'), legend: 'em ação' },
                { expr: aggregate('sum', 'k6_vus_max'), legend: 'preparados' },
              ],
              colors: { preparados: 'text' },
              noValue: NO_TEST,
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Requisições por segundo: o k6 e a loja',
              description:
                'As duas contagens de uma mesma carga. A loja acima do k6: há outros visitantes. O k6 acima da loja: respostas do balanceador, ou requisições que não chegaram.',
              unit: 'reqps',
              queries: [
                { expr: rate(REQUESTS), legend: 'k6' },
                { expr: sumRate('http_request_duration_seconds_count', { where: PAGES }), legend: 'loja' },
              ],
              links: [toBoard('Nível de serviço', 'overview')],
            }),
          ],
        ),
        line(
          9,
          [
            12,
            timeSeries({
              title: 'k6: requisições por segundo, por nome',
              description: 'O nome é dado pelo roteiro e junta endereços que só diferem no número de um produto.',
              unit: 'reqps',
              queries: [{ expr: rate(REQUESTS, 'name'), legend: '{{name}}' }],
              noValue: NO_TEST,
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Loja: requisições por segundo, por rota',
              description: 'Páginas que as instâncias escolhidas serviram, de todos os visitantes.',
              unit: 'reqps',
              queries: [
                {
                  expr: sumRate('http_request_duration_seconds_count', { by: 'method, route', where: PAGES }),
                  legend: '{{method}} {{route}}',
                },
              ],
            }),
          ],
        ),
        line(
          9,
          [
            12,
            timeSeries({
              title: 'k6: tempo de resposta p95, por requisição',
              description: `As 10 requisições mais lentas, do envio ao fim da resposta, com a rede e o balanceador. ${SINCE_START}`,
              unit: 's',
              sortedBy: 'max',
              queries: [
                { expr: `topk(10, ${aggregate('max', 'k6_http_req_duration_p95', PER_REQUEST)})`, legend: REQUEST },
              ],
              noValue: NO_TEST,
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Loja: tempo de resposta p95, por rota',
              description:
                'As 10 rotas mais lentas nos últimos instantes, medidas dentro do worker. Bem abaixo do k6: a espera está antes do worker, no balanceador ou na fila de conexões.',
              unit: 's',
              sortedBy: 'max',
              queries: [
                {
                  expr: `topk(10, ${quantile(0.95, 'http_request_duration_seconds', { by: 'method, route', where: PAGES })})`,
                  legend: '{{method}} {{route}}',
                },
              ],
              links: [toBoard('Onde o tempo fica', 'checkout'), toRunbook('many-pages-are-slow')],
            }),
          ],
        ),
        line(
          8,
          [
            12,
            timeSeries({
              title: 'k6: falhas por segundo',
              description:
                'Respostas que o roteiro não esperava, e toda recusa (503). Status 0: sem resposta. A primeira de cada linha não aparece, pois antes dela não havia série; as verificações a mostram.',
              unit: 'reqps',
              queries: [{ expr: rate(FAILED_REQUESTS, PER_REQUEST), legend: REQUEST }],
              noValue: 'Nenhuma falha',
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Loja: erros por segundo',
              description:
                'Por tipo. payment_declined é esperado, pois o roteiro usa um cartão recusado. rate_limited: inicie a loja com RATE_LIMIT=off. overload: a loja recusa o que não consegue servir.',
              unit: 'ops',
              queries: [{ expr: sumRate('shop_errors_total', { by: 'type' }), legend: '{{type}}' }],
              noValue: 'Nenhum erro',
              links: [toRunbook('from-a-symptom-to-its-section')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Limites da loja no mesmo instante',
      lines: [
        line(
          8,
          [
            8,
            workerCpu({
              title: 'CPU dos workers sob carga',
              description:
                'Núcleos usados por processo no último segundo: 1 é um núcleo inteiro. Todos em 1: a CPU é o limite.',
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Pool de conexões sob carga',
              description:
                'Conexões dos workers ao banco, somadas sobre as instâncias. Ativas no limite, com requisições em espera: o pool é o limite.',
              unit: 'short',
              queries: [
                { expr: aggregate('sum', series('shop_db_connections'), 'state'), legend: '{{state}}' },
                { expr: aggregate('sum', series('shop_db_connections_max')), legend: 'limite' },
              ],
              names: { active: 'ativas', idle: 'livres', pending: 'em espera' },
              colors: { pending: 'red', limite: 'text' },
              links: [toBoard('O banco', 'postgresql'), toRunbook('a-pool-is-exhausted')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'CPU das máquinas sob carga',
              description:
                'Parte de todos os núcleos da máquina de cada instância. Em 100 % com workers abaixo de 1: outro programa a ocupa, talvez o próprio k6.',
              unit: 'percentunit',
              max: 1,
              queries: [{ expr: series('shop_host_cpu_usage_ratio'), legend: '{{instance}}' }],
              links: [toRunbook('more-load-than-the-shop-can-serve')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Resultado do teste',
      lines: [
        line(
          12,
          [
            14,
            table({
              title: 'Tempo de resposta por requisição',
              description: `Quantis exatos do k6 para cada requisição; quantis de várias não se somam nem se tira a média deles. Depois do teste, seu resultado. ${SINCE_START}`,
              unit: 's',
              sortedBy: 'p95',
              columns: [
                { title: 'Requisição', label: 'name' },
                { title: 'Método', label: 'method' },
                { title: 'Status', label: 'status' },
                ...QUANTILES.map((statistic) => ({
                  title: statistic,
                  expr: result('max', `k6_http_req_duration_${statistic}`, PER_REQUEST),
                })),
              ],
              noValue: NO_TEST,
            }),
          ],
          [
            10,
            table({
              title: 'Verificações',
              description: `Parte das vezes em que cada verificação (check) do roteiro falhou; as que falharam vêm primeiro. ${SINCE_START}`,
              unit: 'percentunit',
              decimals: 2,
              sortedBy: 'Falhou',
              columns: [
                { title: 'Verificação', label: 'check' },
                { title: 'Falhou', expr: `1 - ${result('min', 'k6_checks_rate', 'check')}` },
              ],
              noValue: NO_TEST,
            }),
          ],
        ),
        line(
          8,
          [
            6,
            timeSeries({
              title: 'Jornadas por segundo',
              description: 'Iterações do roteiro que o k6 encerrou, por segundo.',
              unit: 'ops',
              queries: [{ expr: rate('k6_iterations_total'), legend: 'jornadas' }],
              noValue: NO_TEST,
            }),
          ],
          [
            6,
            timeSeries({
              title: 'Duração de uma jornada',
              description: `Da primeira página ao pedido. ${SINCE_START}`,
              unit: 's',
              queries: QUANTILES.map((statistic) => ({
                expr: aggregate('max', `k6_iteration_duration_${statistic}`),
                legend: statistic,
              })),
              noValue: NO_TEST,
            }),
          ],
          [
            6,
            timeSeries({
              title: 'Onde a requisição espera, p95',
              description: `A requisição mais lenta em cada etapa. Até o primeiro byte: a loja. À espera de conexão ou conectando: a rede ou o balanceador. ${SINCE_START}`,
              unit: 's',
              sortedBy: 'max',
              queries: [
                { expr: aggregate('max', 'k6_http_req_blocked_p95'), legend: 'à espera de conexão' },
                { expr: aggregate('max', 'k6_http_req_connecting_p95'), legend: 'conectando' },
                { expr: aggregate('max', 'k6_http_req_sending_p95'), legend: 'enviando' },
                { expr: aggregate('max', 'k6_http_req_waiting_p95'), legend: 'até o primeiro byte' },
                { expr: aggregate('max', 'k6_http_req_receiving_p95'), legend: 'recebendo' },
              ],
              noValue: NO_TEST,
            }),
          ],
          [
            6,
            timeSeries({
              title: 'Dados por segundo',
              description: 'Bytes que o k6 recebeu e enviou, com os cabeçalhos.',
              unit: 'Bps',
              queries: [
                { expr: rate('k6_data_received_total'), legend: 'recebidos' },
                { expr: rate('k6_data_sent_total'), legend: 'enviados' },
              ],
              noValue: NO_TEST,
            }),
          ],
        ),
      ],
    },
  ],
};
