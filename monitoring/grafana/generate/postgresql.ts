import { type Board, line, toBoard, toRunbook, UIDS } from './board.ts';
import { stat, timeSeries } from './panels.ts';
import { aggregate, mean, PER_INSTANCE, series, shopWide, shopWideGrowth, shopWideRate } from './promql.ts';

const BLOCKS = 'shop_db_server_blocks_total';
const SHARED = 'Vem do banco e é o mesmo em todas as instâncias: toma-se o máximo, nunca a soma.';
const CACHE_HITS = `${shopWideRate(BLOCKS, { where: 'source="cache"' })} / (${aggregate('sum', shopWideRate(BLOCKS, { by: 'source' }))} > 0)`;

const STATES = {
  active: 'ativas',
  idle: 'livres',
  idle_in_transaction: 'paradas em transação',
  idle_in_transaction_aborted: 'paradas em transação falha',
  other: 'outras',
};

/** postgres_exporter's own jobs and instances are not the shop's, so the viewer's choice of instances does not apply. */
const EXPORTER =
  'Só com o postgres_exporter, que o docker compose traz. Vale para todos os servidores que ele lê, não para as instâncias escolhidas.';
const NO_EXPORTER = 'Sem postgres_exporter';

/** *PostgreSQL*: for who looks after the database. */
export const postgresql: Board = {
  uid: UIDS.postgresql,
  title: 'Fake Shop · PostgreSQL',
  description:
    'Para quem cuida do banco: ele responde, cabe, espera por travas, lê do disco? A loja lê o próprio PostgreSQL, uma leitura para toda a frota.',
  sections: [
    {
      title: 'Agora',
      lines: [
        line(
          4,
          [
            4,
            stat({
              title: 'Instâncias que alcançam o banco',
              description:
                'Parte das instâncias escolhidas para as quais o banco responde e aceita gravações. Só algumas: a rede ou as conexões; nenhuma: o banco.',
              unit: 'percentunit',
              steps: [
                [null, 'red'],
                [0.01, 'orange'],
                [1, 'green'],
              ],
              queries: [{ expr: aggregate('avg', series('shop_db_up')), legend: 'alcançam' }],
              links: [toRunbook('the-database-is-down')],
            }),
          ],
          [
            4,
            stat({
              title: 'Conexões em uso',
              description: `Conexões ao banco da loja, de todas que o servidor concede (max_connections). ${SHARED}`,
              unit: 'percentunit',
              decimals: 0,
              course: true,
              steps: [
                [null, 'green'],
                [0.7, 'orange'],
                [0.9, 'red'],
              ],
              queries: [
                {
                  expr: `${aggregate('sum', shopWide('shop_db_server_connections', { by: 'state' }))} / ${shopWide('shop_db_server_connections_max')}`,
                  legend: 'em uso',
                },
              ],
              noValue: 'O banco não respondeu',
              links: [toRunbook('too-many-connections')],
            }),
          ],
          [
            4,
            stat({
              title: 'Sessões à espera de trava',
              description: `Sessões que esperam por uma trava neste instante. ${SHARED}`,
              unit: 'short',
              decimals: 0,
              course: true,
              steps: [
                [null, 'green'],
                [1, 'orange'],
                [5, 'red'],
              ],
              queries: [{ expr: shopWide('shop_db_server_waiting_locks'), legend: 'à espera' }],
              noValue: 'O banco não respondeu',
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
          [
            4,
            stat({
              title: 'Transação mais longa',
              description: `Idade da transação aberta mais antiga. Uma transação longa segura linhas e impede a limpeza. ${SHARED}`,
              unit: 's',
              course: true,
              steps: [
                [null, 'green'],
                [5, 'orange'],
                [60, 'red'],
              ],
              queries: [{ expr: shopWide('shop_db_server_longest_transaction_seconds'), legend: 'aberta há' }],
              noValue: 'O banco não respondeu',
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
          [
            4,
            stat({
              title: 'Impasses no período',
              description: `Impasses (deadlocks) que o PostgreSQL desfez, falhando uma transação de cada. ${SHARED}`,
              unit: 'short',
              decimals: 0,
              steps: [
                [null, 'green'],
                [1, 'orange'],
              ],
              queries: [{ expr: shopWideGrowth('shop_db_server_deadlocks_total', '$__range'), legend: 'impasses' }],
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
          [
            4,
            stat({
              title: 'Tamanho do banco',
              description: `Bytes de todas as tabelas e índices da loja. ${SHARED}`,
              unit: 'bytes',
              course: true,
              queries: [{ expr: shopWide('shop_db_server_size_bytes'), legend: 'tamanho' }],
              noValue: 'O banco não respondeu',
              links: [toRunbook('the-disk-of-the-database-is-full')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Trabalho',
      lines: [
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Transações por segundo',
              description: `Transações encerradas no banco da loja. Muitas desfeitas: erros ou esperas vencidas. ${SHARED}`,
              unit: 'ops',
              queries: [
                { expr: shopWideRate('shop_db_server_transactions_total', { by: 'outcome' }), legend: '{{outcome}}' },
              ],
              names: { commit: 'gravadas', rollback: 'desfeitas' },
              colors: { commit: 'green', rollback: 'red' },
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Linhas por segundo',
              description: `Linhas lidas (por varreduras), achadas (por índices) e alteradas. Lidas muito acima das achadas: falta um índice. ${SHARED}`,
              unit: 'ops',
              queries: [
                { expr: shopWideRate('shop_db_server_rows_total', { by: 'operation' }), legend: '{{operation}}' },
              ],
              names: {
                returned: 'lidas',
                fetched: 'achadas por índice',
                inserted: 'inseridas',
                updated: 'alteradas',
                deleted: 'apagadas',
              },
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Leituras que vêm da memória do PostgreSQL',
              description: `Parte dos blocos achados na memória do próprio PostgreSQL. O resto vem do sistema, que ainda pode tê-lo em memória. Abaixo de 0,99 por muito tempo: shared_buffers pequeno. ${SHARED}`,
              unit: 'percentunit',
              max: 1,
              queries: [{ expr: CACHE_HITS, legend: 'da memória' }],
              noValue: 'Nenhuma leitura no período',
            }),
          ],
        ),
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Blocos lidos por segundo',
              description: `Blocos de 8 KiB, por origem. ${SHARED}`,
              unit: 'ops',
              stack: 'normal',
              queries: [{ expr: shopWideRate(BLOCKS, { by: 'source' }), legend: '{{source}}' }],
              names: { cache: 'memória do PostgreSQL', disk: 'sistema ou disco' },
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Operações da loja, tempo médio',
              description:
                'As 10 operações mais lentas como a loja as mede: soma dos tempos dividida pela contagem, de todas as instâncias. Os quantis por instância estão no dashboard Checkout.',
              unit: 's',
              sortedBy: 'max',
              queries: [
                {
                  expr: `topk(10, ${mean('shop_db_operation_duration_seconds', { by: 'operation, table' })})`,
                  legend: '{{operation}} {{table}}',
                },
              ],
              noValue: 'Nenhuma operação no período',
              links: [toBoard('Quantis por instância', 'checkout'), toRunbook('the-database-is-slow')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Tamanho do banco no tempo',
              description: `Bytes do banco da loja. Uma reta que sobe: quando o disco acaba? ${SHARED}`,
              unit: 'bytes',
              queries: [{ expr: shopWide('shop_db_server_size_bytes'), legend: 'tamanho' }],
              noValue: 'O banco não respondeu',
              links: [toRunbook('the-disk-of-the-database-is-full')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Conexões e travas',
      lines: [
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Conexões por estado',
              description: `Como o PostgreSQL as conta, com o limite do servidor. Paradas em transação seguram linhas. ${SHARED}`,
              unit: 'short',
              queries: [
                { expr: shopWide('shop_db_server_connections', { by: 'state' }), legend: '{{state}}' },
                { expr: shopWide('shop_db_server_connections_max'), legend: 'limite' },
              ],
              names: STATES,
              colors: { limite: 'text' },
              noValue: 'O banco não respondeu',
              links: [toRunbook('too-many-connections')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Travas e impasses',
              description: `Sessões à espera de uma trava, e impasses por segundo. ${SHARED}`,
              unit: 'short',
              queries: [
                { expr: shopWide('shop_db_server_waiting_locks'), legend: 'sessões à espera' },
                { expr: shopWideRate('shop_db_server_deadlocks_total'), legend: 'impasses por segundo' },
              ],
              noValue: 'O banco não respondeu',
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Transação mais longa no tempo',
              description: `Idade da transação aberta mais antiga. Uma rampa: alguém abriu e não fechou. ${SHARED}`,
              unit: 's',
              queries: [{ expr: shopWide('shop_db_server_longest_transaction_seconds'), legend: 'aberta há' }],
              noValue: 'O banco não respondeu',
              links: [toRunbook('the-database-is-slow')],
            }),
          ],
        ),
        line(
          8,
          [
            8,
            timeSeries({
              title: 'O banco responde, por instância',
              description: '1: responde e aceita gravações. 0: não.',
              unit: 'bool_yes_no',
              min: 0,
              max: 1,
              queries: [{ expr: series('shop_db_up'), legend: '{{instance}}' }],
              links: [toRunbook('the-database-is-down')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Disco cheio',
              description:
                '1: o PostgreSQL recusou uma gravação por falta de espaço nos últimos 15 s, em algum worker da instância.',
              unit: 'bool_yes_no',
              min: 0,
              max: 1,
              queries: [{ expr: aggregate('max', series('shop_db_disk_full'), PER_INSTANCE), legend: '{{instance}}' }],
              links: [toRunbook('the-disk-of-the-database-is-full')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Conexões que os pools podem abrir',
              description:
                'O que os workers das instâncias escolhidas podem pedir juntos, e o que o servidor concede. Pedir mais do que se concede acaba em recusas.',
              unit: 'short',
              queries: [
                { expr: aggregate('sum', series('shop_db_connections_max')), legend: 'pools, somados' },
                { expr: shopWide('shop_db_server_connections_max'), legend: 'servidor' },
              ],
              links: [toRunbook('connections')],
            }),
          ],
        ),
      ],
    },
    {
      title: 'postgres_exporter, onde houver',
      folded: true,
      lines: [
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Exportador alcança o servidor',
              description: `1: o postgres_exporter conseguiu conectar. ${EXPORTER}`,
              unit: 'bool_yes_no',
              min: 0,
              max: 1,
              queries: [{ expr: 'pg_up', legend: '{{instance}}' }],
              noValue: NO_EXPORTER,
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Conexões de todos os bancos, por estado',
              description: `Também as que não são da loja. ${EXPORTER}`,
              unit: 'short',
              queries: [
                { expr: 'sum by (datname, state) (pg_stat_activity_count) > 0', legend: '{{datname}} · {{state}}' },
              ],
              noValue: NO_EXPORTER,
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Travas concedidas, por modo',
              description: `ExclusiveLock e acima impedem outras gravações. ${EXPORTER}`,
              unit: 'short',
              queries: [{ expr: 'sum by (mode) (pg_locks_count)', legend: '{{mode}}' }],
              noValue: NO_EXPORTER,
            }),
          ],
        ),
      ],
    },
  ],
};
