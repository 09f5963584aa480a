import { type Board, line, toBoard, toRunbook, UIDS } from './board.ts';
import { heatmap, stat, stateTimeline, table, timeSeries } from './panels.ts';
import {
  aggregate,
  buckets,
  countInstances,
  growth,
  instanceMemory,
  ofShop,
  PER_INSTANCE,
  quantile,
  series,
  sumRate,
} from './promql.ts';

const REASONS = {
  exit: 'saiu',
  exception: 'exceção',
  out_of_memory: 'sem memória',
  signal: 'sinal',
  hang: 'travou',
  failed_start: 'não iniciou',
  reload: 'recarga',
};
const WORKER_STATES = { starting: 'iniciando', serving: 'atendendo', draining: 'encerrando', down: 'parado' };

const LOOP_TIME = 'nodejs_eventloop_time_seconds_total';

/** *Frota*: for who runs the instances. */
export const fleet: Board = {
  uid: UIDS.fleet,
  title: 'Fake Shop · Frota',
  description:
    'Para quem opera: quantas instâncias e workers atendem, o que foi trocado e por quê, que versão roda onde, e quanto custam as próprias métricas.',
  from: 'now-3h',
  sections: [
    {
      title: 'Agora',
      lines: [
        line(
          4,
          [
            4,
            stat({
              title: 'Instâncias que respondem',
              description: 'Instâncias das quais o Prometheus obtém as métricas.',
              unit: 'short',
              decimals: 0,
              course: true,
              steps: [
                [null, 'red'],
                [1, 'green'],
              ],
              queries: [{ expr: countInstances(true), legend: 'respondem' }],
              links: [toRunbook('no-answer-to-prometheus')],
            }),
          ],
          [
            4,
            stat({
              title: 'Instâncias sem resposta',
              description: 'Instâncias que o Prometheus conhece e que não respondem.',
              unit: 'short',
              decimals: 0,
              course: true,
              steps: [
                [null, 'green'],
                [1, 'red'],
              ],
              queries: [{ expr: countInstances(false), legend: 'sem resposta' }],
              links: [toRunbook('no-answer-to-prometheus')],
            }),
          ],
          [
            4,
            stat({
              title: 'Workers que atendem',
              description: 'Parte dos lugares de worker que atende agora, em todas as instâncias escolhidas.',
              unit: 'percentunit',
              decimals: 0,
              course: true,
              steps: [
                [null, 'red'],
                [0.5, 'orange'],
                [1, 'green'],
              ],
              queries: [
                {
                  expr: `${aggregate('sum', series('shop_workers', 'state="serving"'))} / ${aggregate('sum', series('shop_workers'))}`,
                  legend: 'atendem',
                },
              ],
              links: [toRunbook('a-worker-dies-again-and-again')],
            }),
          ],
          [
            4,
            stat({
              title: 'Workers trocados no período',
              description: 'Trocas por falha, somadas sobre as instâncias. Recargas não contam.',
              unit: 'short',
              decimals: 0,
              steps: [
                [null, 'green'],
                [1, 'orange'],
                [3, 'red'],
              ],
              queries: [
                {
                  expr: growth('shop_worker_restarts_total', '$__range', { where: 'reason!="reload"' }),
                  legend: 'trocas',
                },
              ],
              links: [toRunbook('reasons-of-a-restart')],
            }),
          ],
          [
            4,
            stat({
              title: 'Revisões em execução',
              description: 'Mais de uma por muito tempo: uma implantação parou no meio.',
              unit: 'short',
              decimals: 0,
              steps: [
                [null, 'green'],
                [2, 'orange'],
              ],
              queries: [
                {
                  expr: aggregate('count', aggregate('count', series('shop_build_info'), 'revision')),
                  legend: 'revisões',
                },
              ],
              links: [toRunbook('which-release-runs')],
            }),
          ],
          [
            4,
            stat({
              title: 'Séries da loja no Prometheus',
              description:
                'Amostras que uma leitura de todas as instâncias escolhidas traz. Cresce com instâncias, não com visitantes.',
              unit: 'short',
              course: true,
              queries: [{ expr: aggregate('sum', series('shop_metrics_series')), legend: 'séries' }],
              links: [toRunbook('series-on-the-metrics-page')],
            }),
          ],
        ),
        line(9, [
          24,
          table({
            title: 'Instâncias',
            description: 'O que roda onde, desde quando, e com quanto.',
            unit: 'short',
            sortedBy: 'No ar há',
            columns: [
              { title: 'Instância', label: 'instance' },
              { title: 'Versão', label: 'version' },
              { title: 'Revisão', label: 'revision' },
              { title: 'Node.js', label: 'node' },
              {
                title: 'No ar há',
                // The labels of the build come along: one line for each instance.
                expr: `(time() - ${series('process_start_time_seconds')}) * on (job, instance) group_left (version, revision, node) ${series('shop_build_info')}`,
                unit: 'dtdurations',
              },
            ],
          }),
        ]),
      ],
    },
    {
      title: 'Instâncias e workers',
      lines: [
        line(
          8,
          [
            12,
            stateTimeline({
              title: 'Respostas ao Prometheus',
              description: 'Verde: a instância respondeu à leitura das métricas. Vermelho: não.',
              unit: 'none',
              states: [
                { value: 1, text: 'responde', color: 'green' },
                { value: 0, text: 'sem resposta', color: 'red' },
              ],
              queries: [{ expr: ofShop('up'), legend: '{{instance}}' }],
              links: [toRunbook('no-answer-to-prometheus')],
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Workers por estado',
              description: 'Lugares de worker das instâncias escolhidas, por estado.',
              unit: 'short',
              stack: 'normal',
              queries: [{ expr: aggregate('sum', series('shop_workers'), 'state'), legend: '{{state}}' }],
              names: WORKER_STATES,
              colors: { serving: 'green', starting: 'blue', draining: 'yellow', down: 'red' },
              links: [toRunbook('a-worker-dies-again-and-again')],
            }),
          ],
        ),
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Trocas de workers por motivo, em 10 min',
              description: 'Trocas nos 10 minutos que terminam em cada ponto. Recargas são de propósito.',
              unit: 'short',
              queries: [{ expr: growth('shop_worker_restarts_total', '10m', { by: 'reason' }), legend: '{{reason}}' }],
              names: REASONS,
              links: [toRunbook('reasons-of-a-restart')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Trocas de workers por instância, em 10 min',
              description: 'Uma instância sozinha: a máquina dela. Todas: o código ou o banco.',
              unit: 'short',
              sortedBy: 'max',
              queries: [
                {
                  expr: growth('shop_worker_restarts_total', '10m', { by: PER_INSTANCE, where: 'reason!="reload"' }),
                  legend: '{{instance}}',
                },
              ],
              links: [toRunbook('a-worker-dies-again-and-again')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Requisições por segundo e instância',
              description: 'Todas, também as de saúde. Muito desiguais: o balanceador não reparte.',
              unit: 'reqps',
              queries: [
                { expr: sumRate('http_request_duration_seconds_count', { by: PER_INSTANCE }), legend: '{{instance}}' },
              ],
            }),
          ],
        ),
        line(
          8,
          [
            8,
            timeSeries({
              title: 'CPU da loja por instância',
              description: 'Núcleos usados por todos os processos da instância.',
              unit: 'short',
              queries: [
                { expr: aggregate('sum', series('shop_cpu_usage_ratio'), PER_INSTANCE), legend: '{{instance}}' },
              ],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Memória por instância',
              description: 'Memória residente de todos os processos da instância. Uma rampa sem fim: um vazamento.',
              unit: 'bytes',
              queries: [
                {
                  expr: instanceMemory(),
                  legend: '{{instance}}',
                },
              ],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Arquivos e conexões abertos, por instância',
              description: 'Descritores de todos os processos da instância. Uma rampa sem fim: algo não se fecha.',
              unit: 'short',
              queries: [{ expr: aggregate('sum', ofShop('process_open_fds'), PER_INSTANCE), legend: '{{instance}}' }],
            }),
          ],
        ),
        line(
          7,
          [
            8,
            timeSeries({
              title: 'Idade do catálogo por instância',
              description:
                'Segundos desde que o worker mais atrasado comparou seu catálogo com o banco. A loja compara duas vezes por segundo.',
              unit: 's',
              steps: [
                [null, 'green'],
                [30, 'red'],
              ],
              showSteps: true,
              queries: [
                { expr: aggregate('max', series('shop_catalogue_age_seconds'), PER_INSTANCE), legend: '{{instance}}' },
              ],
              links: [toRunbook('the-catalogue-is-old')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Atraso do event loop, p99 por instância',
              description: 'O worker mais lento de cada instância nos últimos 30 a 60 s.',
              unit: 's',
              sortedBy: 'max',
              queries: [
                {
                  expr: aggregate('max', series('nodejs_eventloop_lag_p99_seconds'), PER_INSTANCE),
                  legend: '{{instance}}',
                },
              ],
              links: [toRunbook('a-worker-hangs'), toBoard('Checkout', 'checkout')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Ocupação do event loop por instância',
              description:
                'Parte do tempo em que os event loops da instância não esperavam, média de workers e primário. Perto de 100 %, só mais workers ajudam.',
              unit: 'percentunit',
              queries: [
                {
                  expr: `${sumRate(LOOP_TIME, { by: PER_INSTANCE, where: 'state="active"' })} / ${sumRate(LOOP_TIME, { by: PER_INSTANCE })}`,
                  legend: '{{instance}}',
                },
              ],
              links: [toRunbook('more-load-than-the-shop-can-serve'), toBoard('Checkout', 'checkout')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'O custo das métricas',
      lines: [
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Leitura das métricas, como o Prometheus a mede',
              description: 'Do pedido até o fim da resposta, com a rede. Perto do prazo da leitura, lacunas aparecem.',
              unit: 's',
              queries: [{ expr: ofShop('scrape_duration_seconds'), legend: '{{instance}}' }],
              links: [toRunbook('a-scrape-fails')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Trabalho do primário por leitura',
              description:
                'Quanto o event loop do primário fica ocupado lendo, juntando e imprimindo: mediana e p99 de todas as instâncias, do histograma.',
              unit: 's',
              queries: [
                { expr: quantile(0.5, 'shop_metrics_scrape_duration_seconds'), legend: 'mediana' },
                { expr: quantile(0.99, 'shop_metrics_scrape_duration_seconds'), legend: 'p99' },
              ],
            }),
          ],
          [
            8,
            heatmap({
              title: 'Leituras por duração',
              description: 'Quantas leituras por segundo couberam em cada faixa de trabalho do primário.',
              unit: 's',
              queries: [{ expr: buckets('shop_metrics_scrape_duration_seconds'), legend: '{{le}}' }],
            }),
          ],
        ),
        line(
          7,
          [
            8,
            timeSeries({
              title: 'Amostras por leitura e instância',
              description: 'O que o Prometheus guarda de cada instância a cada leitura.',
              unit: 'short',
              queries: [{ expr: ofShop('scrape_samples_scraped'), legend: '{{instance}}' }],
              links: [toRunbook('series-on-the-metrics-page')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Problemas dos arquivos de métricas, em 1 h',
              description:
                'Arquivos de métricas de workers que não puderam ser lidos ou escritos, por tipo. Sempre 0 quando tudo vai bem.',
              unit: 'short',
              queries: [
                { expr: growth('shop_metrics_store_problems_total', '1h', { by: 'kind' }), legend: '{{kind}}' },
              ],
              links: [toRunbook('the-metrics-store-has-a-problem')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Leituras que falharam, em 1 h',
              description: 'Pedidos das métricas respondidos com 500, pelo passo que falhou.',
              unit: 'short',
              queries: [
                { expr: growth('shop_metrics_handler_errors_total', '1h', { by: 'cause' }), legend: '{{cause}}' },
              ],
              links: [toRunbook('a-scrape-fails')],
            }),
          ],
        ),
      ],
    },
  ],
};
