import { type Board, line, toBoard, toRunbook, UIDS } from './board.ts';
import { heatmap, stat, table, timeSeries } from './panels.ts';
import { loopLag, machineCpu, workerCpu } from './processes.ts';
import {
  aggregate,
  buckets,
  growth,
  instanceMemory,
  mean,
  nativeQuantile,
  PAGES,
  PER_INSTANCE,
  quantile,
  series,
  shopWide,
  sumRate,
} from './promql.ts';

const SUBMITS = 'route="/checkout",method="POST"';
const OPERATION = 'shop_db_operation_duration_seconds';
/** Its twin, which has native buckets alone. */
const OPERATION_HISTOGRAM = 'shop_db_operation_duration_histogram_seconds';
const NEVER_AVERAGED =
  'Os quantis de um sumário valem para uma instância e nunca são somados nem tirada a média entre instâncias: cada linha é de uma.';

const SPENT = { app: 'código', db: 'banco', db_wait: 'espera por conexão', payment: 'pagamento' };
const SPENT_COLORS = { app: 'blue', db: 'orange', db_wait: 'red', payment: 'purple' };
const PHASES = { validate: 'conferir', reserve: 'reservar', payment: 'pagar', commit: 'gravar' };

/** The part of a request's time, by what it was spent on. `on ()` divides each by the one number of requests. */
const TIME_PER_REQUEST = `${sumRate('shop_request_time_seconds_total', { by: 'spent', where: PAGES })} / on () group_left () (${sumRate('http_request_duration_seconds_count', { where: PAGES })} > 0)`;

function operationQuantile(q: string): string {
  // A quantile of an operation that did not run is NaN, which is above nothing.
  return `${aggregate('max', series(OPERATION, `quantile="${q}"`), `${PER_INSTANCE}, operation, table`)} >= 0`;
}

/** *Checkout: código, banco ou infraestrutura?*: for the developer. */
export const checkout: Board = {
  uid: UIDS.checkout,
  title: 'Fake Shop · Checkout: código, banco ou infraestrutura?',
  description:
    'Para quem desenvolve: quando a finalização trava, onde o tempo é gasto. Leia de cima para baixo: o sintoma, a divisão do tempo, e então código, banco, pagamento e máquina, cada um com seus sinais.',
  route: '/checkout',
  sections: [
    {
      title: '1. A finalização trava?',
      lines: [
        line(
          4,
          [
            6,
            stat({
              title: 'Envio da finalização, p95',
              description:
                '95 % dos envios da finalização são mais rápidos que isto. Acima de 1 s, as pessoas percebem; a loja desiste em 1,5 s a 2 s.',
              unit: 's',
              course: true,
              steps: [
                [null, 'green'],
                [0.5, 'orange'],
                [1, 'red'],
              ],
              queries: [{ expr: quantile(0.95, 'http_request_duration_seconds', { where: SUBMITS }), legend: 'p95' }],
              noValue: 'Nenhum envio no período',
              links: [toRunbook('a-checkout-hangs')],
            }),
          ],
          [
            6,
            stat({
              title: 'Tentativas que falharam, 5 min',
              description:
                'Parte das tentativas de compra que falharam por nossa culpa nos últimos 5 minutos: nem recusadas pelo pagamento, nem sem estoque.',
              unit: 'percentunit',
              decimals: 1,
              course: true,
              steps: [
                [null, 'green'],
                [0.01, 'orange'],
                [0.05, 'red'],
              ],
              queries: [
                {
                  expr: `${growth('shop_orders_total', '5m', { where: 'outcome="failed"' })} / (${growth('shop_orders_total', '5m')} > 0)`,
                  legend: 'falharam',
                },
              ],
              noValue: 'Nenhuma tentativa',
              links: [toRunbook('a-checkout-hangs')],
            }),
          ],
          [
            6,
            stat({
              title: 'Fase mais lenta agora',
              description:
                'A fase da finalização com a maior média: validate é código; reserve e commit são banco; payment é o provedor.',
              unit: 's',
              named: true,
              queries: [
                {
                  expr: `topk(1, ${mean('shop_checkout_phase_duration_seconds', { by: 'phase' })})`,
                  legend: '{{phase}}',
                },
              ],
              names: PHASES,
              noValue: 'Nenhuma tentativa',
              links: [toRunbook('a-checkout-hangs')],
            }),
          ],
          [
            6,
            stat({
              title: 'O banco responde?',
              description: 'O pior das instâncias escolhidas: 1 quando o banco responde e aceita gravações, senão 0.',
              unit: 'bool_yes_no',
              steps: [
                [null, 'red'],
                [1, 'green'],
              ],
              queries: [{ expr: aggregate('min', series('shop_db_up')), legend: 'responde' }],
              links: [toRunbook('the-database-is-down'), toBoard('PostgreSQL', 'postgresql')],
            }),
          ],
        ),
      ],
    },
    {
      title: '2. Em que o tempo é gasto?',
      lines: [
        line(
          9,
          [
            12,
            timeSeries({
              title: 'Tempo por requisição de $route, por onde é gasto',
              description:
                'Segundos de uma requisição média das rotas escolhidas. código: a loja; banco: as consultas; espera por conexão: o pool está cheio; pagamento: o provedor. As partes somam o todo. Somado sobre as instâncias.',
              unit: 's',
              stack: 'normal',
              queries: [{ expr: TIME_PER_REQUEST, legend: '{{spent}}' }],
              names: SPENT,
              colors: SPENT_COLORS,
              noValue: 'Nenhuma requisição no período',
              links: [toRunbook('a-checkout-hangs')],
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Fases da finalização, p95',
              description:
                '95 % das vezes a fase é mais rápida que isto, em todas as instâncias. gravar alto com banco alto: travas ou disco; gravar alto com código alto: nosso código; pagar alto: o provedor.',
              unit: 's',
              queries: [
                { expr: quantile(0.95, 'shop_checkout_phase_duration_seconds', { by: 'phase' }), legend: '{{phase}}' },
              ],
              names: PHASES,
              noValue: 'Nenhuma tentativa no período',
              links: [toRunbook('a-checkout-hangs')],
            }),
          ],
        ),
        line(
          8,
          [
            12,
            heatmap({
              title: 'Envios da finalização por duração',
              description:
                'Cada coluna mostra quantos envios por segundo couberam em cada faixa de tempo. Duas faixas claras separadas: uma parte dos envios espera por algo. Pontos são exemplares: o request_id de um acha a linha no log.',
              unit: 's',
              queries: [{ expr: buckets('http_request_duration_seconds', { where: SUBMITS }), legend: '{{le}}' }],
              noValue: 'Nenhum envio no período',
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Fases da finalização, tempo médio',
              description: 'A média de cada fase, empilhada: a altura é uma tentativa média que chegou ao fim.',
              unit: 's',
              stack: 'normal',
              queries: [{ expr: mean('shop_checkout_phase_duration_seconds', { by: 'phase' }), legend: '{{phase}}' }],
              names: PHASES,
              noValue: 'Nenhuma tentativa no período',
            }),
          ],
        ),
      ],
    },
    {
      title: '3. É o código?',
      lines: [
        line(
          8,
          [
            8,
            loopLag({
              title: 'Atraso do event loop, p99 por instância',
              description:
                'O worker mais lento de cada instância nos últimos 30 a 60 s. Acima de 0,25 s, algum código bloqueia o processo, e todo tempo medido nele cresce junto.',
            }),
          ],
          [
            8,
            workerCpu({
              title: 'CPU por worker',
              description:
                'Núcleos usados por processo no último segundo: 1 é um núcleo inteiro. Um worker em 1 e os outros em 0: um laço; todos em 1: mais carga do que núcleos.',
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Coleta de lixo',
              description:
                'Parte do tempo que os processos de cada instância passam coletando memória, por tipo. Acima de 0,1 por muito tempo, há objetos demais.',
              unit: 'percentunit',
              queries: [
                {
                  expr: sumRate('nodejs_gc_duration_seconds_sum', { by: `${PER_INSTANCE}, kind` }),
                  legend: '{{instance}} · {{kind}}',
                },
              ],
            }),
          ],
        ),
        line(
          7,
          [
            12,
            timeSeries({
              title: 'Erros da finalização por tipo',
              description:
                'Erros por segundo das rotas escolhidas. internal é defeito do código; database e overload são falta de banco ou de capacidade; os outros são respostas certas a pedidos errados.',
              unit: 'ops',
              queries: [{ expr: sumRate('shop_errors_total', { by: 'type', where: PAGES }), legend: '{{type}}' }],
              noValue: 'Nenhum erro',
              links: [toRunbook('many-pages-end-in-5xx')],
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Idade das métricas por worker',
              description:
                'Segundos desde que o worker passou pelo seu event loop. Acima de 2 s ele está preso: seus últimos valores continuam à mostra.',
              unit: 's',
              steps: [
                [null, 'green'],
                [2, 'red'],
              ],
              showSteps: true,
              sortedBy: 'max',
              queries: [{ expr: series('shop_metrics_worker_age_seconds'), legend: '{{instance}} · {{worker}}' }],
              links: [toRunbook('a-worker-hangs')],
            }),
          ],
        ),
      ],
    },
    {
      title: '4. É o banco?',
      lines: [
        line(
          9,
          [
            8,
            timeSeries({
              title: 'Operações do banco, p95 por instância (as 10 mais lentas)',
              description: `Medido pela loja, na janela dos últimos 5 minutos. lock espera por linhas de outra transação; insert de orders e de payments juntos apontam o disco. ${NEVER_AVERAGED}`,
              unit: 's',
              sortedBy: 'max',
              queries: [
                { expr: `topk(10, ${operationQuantile('0.95')})`, legend: '{{instance}} · {{operation}} {{table}}' },
              ],
              noValue: 'Nenhuma operação nos últimos 5 minutos',
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Operações do banco, p95 da frota inteira (as 10 mais lentas)',
              description:
                'De todas as operações de todas as instâncias juntas, o que nenhuma conta com os quantis de cada instância daria. Só com um Prometheus que guarda histogramas nativos.',
              unit: 's',
              sortedBy: 'max',
              queries: [
                {
                  expr: `topk(10, ${nativeQuantile(0.95, OPERATION_HISTOGRAM, { by: 'operation, table' })} >= 0)`,
                  legend: '{{operation}} {{table}}',
                },
              ],
              noValue: 'Nenhuma operação, ou o Prometheus não guarda histogramas nativos',
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Operações do banco, tempo médio da frota',
              description:
                'Soma dos tempos dividida pela contagem, de todas as instâncias: médias podem ser juntadas assim, quantis não.',
              unit: 's',
              sortedBy: 'max',
              queries: [
                { expr: `topk(10, ${mean(OPERATION, { by: 'operation, table' })})`, legend: '{{operation}} {{table}}' },
              ],
              noValue: 'Nenhuma operação no período',
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
        ),
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Pool de conexões',
              description:
                'Conexões dos workers, somadas sobre as instâncias: ativas, livres, requisições em espera, e o limite. Ativas no limite com espera: o pool está cheio.',
              unit: 'short',
              queries: [
                { expr: aggregate('sum', series('shop_db_connections'), 'state'), legend: '{{state}}' },
                { expr: aggregate('sum', series('shop_db_connections_max')), legend: 'limite' },
              ],
              names: { active: 'ativas', idle: 'livres', pending: 'em espera' },
              colors: { pending: 'red', limite: 'text' },
              links: [toRunbook('a-pool-is-exhausted')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Requisições à espera de conexão, por instância',
              description:
                'Quantas requisições esperam por uma conexão do pool. Com consultas lentas, veja o banco; sem elas, há conexões de menos.',
              unit: 'short',
              sortedBy: 'max',
              queries: [
                {
                  expr: aggregate('sum', series('shop_db_connections', 'state="pending"'), PER_INSTANCE),
                  legend: '{{instance}}',
                },
              ],
              links: [toRunbook('a-pool-is-exhausted')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Travas',
              description:
                'Sessões do PostgreSQL à espera de uma trava, e o tempo médio das operações lock da loja. Sobem juntos quando outra transação segura linhas. As sessões vêm do banco: máximo entre as instâncias.',
              unit: 'short',
              queries: [
                { expr: shopWide('shop_db_server_waiting_locks'), legend: 'sessões à espera' },
                { expr: mean(OPERATION, { where: 'operation="lock"' }), legend: 'segundos por lock' },
              ],
              links: [toRunbook('the-database-is-slow'), toBoard('PostgreSQL', 'postgresql')],
            }),
          ],
        ),
        line(9, [
          24,
          table({
            title: 'Operações do banco agora, por instância',
            description: `Os quantis dos últimos 5 minutos de cada operação. ${NEVER_AVERAGED}`,
            unit: 's',
            sortedBy: 'p99',
            noValue: 'Nenhuma operação nos últimos 5 minutos',
            columns: [
              { title: 'Instância', label: 'instance' },
              { title: 'Operação', label: 'operation' },
              { title: 'Tabela', label: 'table' },
              { title: 'Mediana', expr: operationQuantile('0.5') },
              { title: 'p90', expr: operationQuantile('0.9') },
              { title: 'p95', expr: operationQuantile('0.95') },
              { title: 'p99', expr: operationQuantile('0.99') },
              {
                title: 'Por segundo',
                expr: sumRate(`${OPERATION}_count`, { by: `${PER_INSTANCE}, operation, table` }),
                unit: 'ops',
              },
            ],
          }),
        ]),
      ],
    },
    {
      title: '5. É o pagamento?',
      lines: [
        line(
          8,
          [
            12,
            timeSeries({
              title: 'Resposta do provedor de cartão',
              description: 'Mediana, p95 e p99 do tempo até o provedor responder. A loja espera 1 s.',
              unit: 's',
              queries: [0.5, 0.95, 0.99].map((q) => ({
                expr: quantile(q, 'shop_payment_duration_seconds', { where: 'method="card"' }),
                legend: q === 0.5 ? 'mediana' : `p${q * 100}`,
              })),
              noValue: 'Nenhum pagamento no período',
              links: [toRunbook('a-checkout-hangs')],
            }),
          ],
          [
            12,
            timeSeries({
              title: 'Pagamentos por desfecho',
              description: 'Pagamentos por segundo. failed: o provedor não respondeu, ou o worker morreu.',
              unit: 'ops',
              queries: [
                { expr: sumRate('shop_payments_total', { by: 'method, outcome' }), legend: '{{method}} {{outcome}}' },
              ],
              links: [toRunbook('an-approved-payment-whose-order-may-not-exist')],
            }),
          ],
        ),
      ],
    },
    {
      title: '6. É a máquina?',
      lines: [
        line(
          8,
          [
            8,
            machineCpu({
              title: 'CPU da máquina, por instância',
              description:
                'Parte dos núcleos ocupada na máquina de cada instância, com tudo o que roda nela. Acima de 0,9 com workers ociosos: outro programa.',
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Requisições em andamento, por instância',
              description: 'Chegaram e ainda não foram respondidas. Cresce quando a loja recebe mais do que serve.',
              unit: 'short',
              queries: [
                { expr: aggregate('sum', series('http_requests_in_flight'), PER_INSTANCE), legend: '{{instance}}' },
              ],
              links: [toRunbook('more-load-than-the-shop-can-serve')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Memória por instância',
              description: 'Memória residente de todos os processos da instância juntos.',
              unit: 'bytes',
              queries: [
                {
                  expr: instanceMemory(),
                  legend: '{{instance}}',
                },
              ],
              links: [toBoard('Frota', 'fleet')],
            }),
          ],
        ),
      ],
    },
  ],
};
