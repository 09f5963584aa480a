import { Counter, type WorkerRegistry } from '@techcommerce/cluster-metrics';

/**
 * The counter that workers keep for the orders they try to make, and the primary for those of workers that died: one
 * definition, so that they merge.
 */
export function orderCounter(registry: WorkerRegistry): Counter<'outcome'> {
  return new Counter({
    name: 'shop_orders_total',
    help: 'Attempts to order, by how they ended; an attempt whose worker died is failed once its payment is settled',
    labelNames: ['outcome'],
    registers: [registry],
  });
}
