import { type Board, line, toBoard, toRunbook, UIDS } from './board.ts';
import { barGauge, stat, table, timeSeries } from './panels.ts';
import { growth, quantile, shopWide } from './promql.ts';

const PERIOD = '$__range';
const HOUR = '1h';

const FUNNEL = {
  views: growth('shop_product_views_total', PERIOD),
  additions: growth('shop_cart_additions_total', PERIOD),
  attempts: growth('shop_orders_total', PERIOD),
  paid: growth('shop_orders_total', PERIOD, { where: 'outcome="paid"' }),
};

const OUTCOMES = { paid: 'pagos', declined: 'recusados', out_of_stock: 'sem estoque', failed: 'falharam' };

/** *Negócio*: for the product manager. */
export const business: Board = {
  uid: UIDS.business,
  title: 'Fake Shop · Negócio',
  description:
    'Para quem cuida do produto: quantas pessoas estão na loja, o que elas procuram, em que passo desistem, quanto se vende e como se paga.',
  from: 'now-6h',
  sections: [
    {
      title: 'Agora',
      lines: [
        line(
          4,
          [
            4,
            stat({
              title: 'Pessoas na loja',
              description:
                'Visitantes dos últimos 5 minutos. O número vem do banco e é o mesmo em todas as instâncias: toma-se o máximo, nunca a soma. Sem resposta do banco, não há número.',
              unit: 'short',
              decimals: 0,
              course: true,
              queries: [{ expr: shopWide('shop_active_sessions'), legend: 'pessoas' }],
              noValue: 'O banco não respondeu',
            }),
          ],
          [
            4,
            stat({
              title: 'Pessoas com carrinho',
              description:
                'Visitantes dos últimos 30 minutos com um carrinho aberto que não está vazio. Vem do banco: máximo entre as instâncias.',
              unit: 'short',
              decimals: 0,
              course: true,
              queries: [{ expr: shopWide('shop_active_cart_sessions'), legend: 'carrinhos' }],
              noValue: 'O banco não respondeu',
            }),
          ],
          [
            4,
            stat({
              title: 'Pedidos pagos no período',
              description: 'Pedidos pagos no período escolhido acima, somados sobre as instâncias.',
              unit: 'short',
              decimals: 0,
              queries: [{ expr: FUNNEL.paid, legend: 'pedidos' }],
            }),
          ],
          [
            4,
            stat({
              title: 'Receita no período',
              description: 'Valor dos pedidos pagos no período, frete incluído.',
              unit: 'currencyBRL',
              decimals: 2,
              queries: [{ expr: growth('shop_order_value_brl_total', PERIOD), legend: 'receita' }],
            }),
          ],
          [
            4,
            stat({
              title: 'Valor médio do pedido',
              description: 'Receita dividida pelos pedidos pagos no período. Sem pedidos não há média.',
              unit: 'currencyBRL',
              decimals: 2,
              queries: [
                {
                  expr: `${growth('shop_order_value_brl_total', PERIOD)} / (${FUNNEL.paid} > 0)`,
                  legend: 'por pedido',
                },
              ],
              noValue: 'Nenhum pedido no período',
            }),
          ],
          [
            4,
            stat({
              title: 'Conversão',
              description:
                'Pedidos pagos por página de produto vista no período. Uma pessoa vê várias páginas, então este número é menor que a conversão por visitante.',
              unit: 'percentunit',
              decimals: 2,
              queries: [{ expr: `${FUNNEL.paid} / (${FUNNEL.views} > 0)`, legend: 'conversão' }],
              noValue: 'Nenhuma página vista no período',
            }),
          ],
        ),
        line(
          8,
          [
            12,
            timeSeries({
              title: 'Pessoas na loja e carrinhos',
              description:
                'Uma subida súbita sem carrinhos costuma ser um robô: compare com as visitas sem cookie. Vem do banco: máximo entre as instâncias.',
              unit: 'short',
              queries: [
                { expr: shopWide('shop_active_sessions'), legend: 'na loja (5 min)' },
                { expr: shopWide('shop_active_cart_sessions'), legend: 'com carrinho (30 min)' },
              ],
              noValue: 'O banco não respondeu',
            }),
          ],
          [
            12,
            barGauge({
              title: 'Do produto ao pedido, no período',
              description:
                'Cada barra é um passo; onde a barra encolhe muito, as pessoas desistem. Os números são crescimentos de contadores no período e podem ter fração, porque o Prometheus os estende até as bordas do período.',
              unit: 'short',
              decimals: 0,
              min: 0,
              queries: [
                { expr: FUNNEL.views, legend: '1. páginas de produto vistas' },
                { expr: FUNNEL.additions, legend: '2. postos no carrinho' },
                { expr: FUNNEL.attempts, legend: '3. tentativas de compra' },
                { expr: FUNNEL.paid, legend: '4. pedidos pagos' },
              ],
            }),
          ],
        ),
      ],
    },
    {
      title: 'Produtos',
      lines: [
        line(10, [
          24,
          table({
            title: 'Produtos mais procurados no período',
            description:
              'Cada produto com suas vistas, adições ao carrinho e unidades vendidas no período. Muito visto e pouco vendido: veja preço, texto ou estoque.',
            unit: 'short',
            decimals: 0,
            sortedBy: 'Unidades vendidas',
            columns: [
              { title: 'Produto', label: 'product' },
              { title: 'Páginas vistas', expr: growth('shop_product_views_total', PERIOD, { by: 'product' }) },
              { title: 'Adições ao carrinho', expr: growth('shop_cart_additions_total', PERIOD, { by: 'product' }) },
              {
                title: 'Unidades no carrinho',
                expr: growth('shop_cart_units_added_total', PERIOD, { by: 'product' }),
              },
              { title: 'Unidades vendidas', expr: growth('shop_units_sold_total', PERIOD, { by: 'product' }) },
            ],
          }),
        ]),
      ],
    },
    {
      title: 'Vendas',
      lines: [
        line(
          8,
          [
            8,
            timeSeries({
              title: 'Receita por hora',
              description: 'Valor dos pedidos pagos na hora que terminou em cada ponto, frete incluído.',
              unit: 'currencyBRL',
              queries: [{ expr: growth('shop_order_value_brl_total', HOUR), legend: 'receita' }],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Tentativas de compra por hora, por desfecho',
              description:
                'Pagos, recusados pelo pagamento, sem estoque e os que falharam. Os que falharam são erros nossos.',
              unit: 'short',
              stack: 'normal',
              queries: [{ expr: growth('shop_orders_total', HOUR, { by: 'outcome' }), legend: '{{outcome}}' }],
              names: OUTCOMES,
              colors: { paid: 'green', declined: 'yellow', out_of_stock: 'blue', failed: 'red' },
              links: [toBoard('Por que a finalização falha', 'checkout')],
            }),
          ],
          [
            8,
            timeSeries({
              title: 'Conversão na última hora',
              description: 'Pedidos pagos por página de produto vista, na hora que terminou em cada ponto.',
              unit: 'percentunit',
              queries: [
                {
                  expr: `${growth('shop_orders_total', HOUR, { where: 'outcome="paid"' })} / (${growth('shop_product_views_total', HOUR)} > 0)`,
                  legend: 'conversão',
                },
              ],
              noValue: 'Nenhuma página vista no período',
            }),
          ],
        ),
      ],
    },
    {
      title: 'Pagamentos e Pix',
      lines: [
        line(
          8,
          [
            6,
            barGauge({
              title: 'Formas de pagamento no período',
              description: 'Pagamentos aprovados no período, por forma.',
              unit: 'short',
              decimals: 0,
              min: 0,
              queries: [
                {
                  expr: growth('shop_payments_total', PERIOD, { by: 'method', where: 'outcome="approved"' }),
                  legend: '{{method}}',
                },
              ],
              names: { card: 'cartão', pix: 'Pix' },
            }),
          ],
          [
            9,
            timeSeries({
              title: 'Pagamentos por hora, por forma e desfecho',
              description:
                'approved: tem seu pedido; declined: recusado; cancelled: devolvido ou trocado, sem pedido; expired: um Pix que não foi pago a tempo; failed: o provedor não respondeu, ou o worker morreu.',
              unit: 'short',
              queries: [
                {
                  expr: growth('shop_payments_total', HOUR, { by: 'method, outcome' }),
                  legend: '{{method}} {{outcome}}',
                },
              ],
              names: {
                'card approved': 'cartão aprovado',
                'card declined': 'cartão recusado',
                'card cancelled': 'cartão cancelado',
                'card failed': 'cartão falhou',
                'pix approved': 'Pix pago',
                'pix expired': 'Pix expirou',
                'pix cancelled': 'Pix cancelado',
                'pix failed': 'Pix falhou',
              },
            }),
          ],
          [
            9,
            timeSeries({
              title: 'Tempo até o pagamento (mediana e p95)',
              description:
                'Cartão: até o provedor responder. Pix: da cobrança até ser pago, expirar ou ser trocado. Calculado do histograma de todas as instâncias.',
              unit: 's',
              queries: [
                {
                  expr: quantile(0.5, 'shop_payment_duration_seconds', { by: 'method' }),
                  legend: '{{method}} mediana',
                },
                { expr: quantile(0.95, 'shop_payment_duration_seconds', { by: 'method' }), legend: '{{method}} p95' },
              ],
              names: {
                'card mediana': 'cartão, mediana',
                'pix mediana': 'Pix, mediana',
                'card p95': 'cartão, p95',
                'pix p95': 'Pix, p95',
              },
              noValue: 'Nenhum pagamento no período',
            }),
          ],
        ),
        line(
          4,
          [
            8,
            stat({
              title: 'Pagamentos sem desfecho',
              description:
                'Pagamentos iniciados há mais de 10 s que podem ter tirado dinheiro e não têm pedido. Acima de zero por mais de um minuto é um defeito. Vem do banco: máximo entre as instâncias.',
              unit: 'short',
              decimals: 0,
              steps: [
                [null, 'green'],
                [1, 'red'],
              ],
              queries: [{ expr: shopWide('shop_payments_unsettled'), legend: 'sem desfecho' }],
              noValue: 'O banco não respondeu',
              links: [toRunbook('a-worker-or-an-instance-dies-during-checkouts')],
            }),
          ],
          [
            8,
            stat({
              title: 'Pix que expiraram no período',
              description: 'Parte das cobranças Pix encerradas no período que ninguém pagou a tempo.',
              unit: 'percentunit',
              decimals: 1,
              queries: [
                {
                  expr: `${growth('shop_payments_total', PERIOD, { where: 'method="pix",outcome="expired"' })} / (${growth('shop_payments_total', PERIOD, { where: 'method="pix"' })} > 0)`,
                  legend: 'expiraram',
                },
              ],
              noValue: 'Nenhum Pix no período',
            }),
          ],
          [
            8,
            stat({
              title: 'Visitas sem cookie no período',
              description:
                'A primeira de cada navegador e todas as de um programa que não guarda cookies. Muitas delas: um robô, que infla as páginas vistas.',
              unit: 'short',
              decimals: 0,
              queries: [{ expr: growth('shop_visits_without_cookie_total', PERIOD), legend: 'visitas' }],
            }),
          ],
        ),
      ],
    },
  ],
};
