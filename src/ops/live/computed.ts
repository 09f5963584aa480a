import { CHECKOUT_PHASES, ORDER_OUTCOMES, SPENT } from '../../instrument/label-values.ts';
import { courseKeys } from './charts.ts';
import {
  additions,
  allAdditions,
  allSold,
  allViews,
  CHECKOUT,
  conversion,
  earlier,
  errors,
  increase,
  orderAttempts,
  orders,
  paidOrders,
  people,
  phaseCount,
  phaseMean,
  phaseSum,
  requests,
  requestTime,
  revenue,
  sold,
  views,
  withCart,
} from './keys.ts';
import type { Key, Structure } from './model.ts';

/**
 * Every number of a frame that is computed from the history: increases, rates, earlier values, and the quantiles of the
 * last 10 seconds.
 */
export function computedKeys(structure: Pick<Structure, 'products' | 'routes' | 'workers'>): Key[] {
  const { products, routes } = structure;
  const counters = [
    ...products.flatMap(({ slug }) => [views(slug), additions(slug), sold(slug)]),
    ...[allViews, allAdditions, allSold, revenue, requests(), errors()],
    ...ORDER_OUTCOMES.map(orders),
    ...routes.flatMap((route) => [requests(route), errors(route)]),
    ...CHECKOUT_PHASES.flatMap((phase) => [phaseSum(phase), phaseCount(phase)]),
    ...SPENT.map((spent) => requestTime(spent, CHECKOUT)),
  ];
  const compared = [people, withCart, increase(paidOrders, '1h'), increase(revenue, '1h'), conversion];
  const keys = [
    ...courseKeys(structure).filter((key) => key.includes('(')),
    ...counters.flatMap((counter) => [increase(counter, '5m'), increase(counter, '1h')]),
    ...compared.map(earlier),
    ...CHECKOUT_PHASES.map(phaseMean),
    orderAttempts,
  ];
  return [...new Set(keys)];
}
