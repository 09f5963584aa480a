import { cartRoutes } from './cart/routes.ts';
import { catalogueRoutes } from './catalogue/routes.ts';
import { pixRoutes } from './checkout/pix-routes.ts';
import { checkoutRoutes } from './checkout/routes.ts';
import type { Route } from './route.ts';

/** Every address of the business. */
export const businessRoutes: readonly Route[] = [...catalogueRoutes, ...cartRoutes, ...checkoutRoutes, ...pixRoutes];
