import type { Knex } from 'knex';
import type { DiskSpace } from '../instrument/disk-space.ts';
import type { WorkerMetrics } from '../instrument/worker-metrics.ts';
import type { Logger } from '../log.ts';
import type { PaymentGateway } from '../payments/gateway.ts';
import type { SettlementReports } from '../payments/settle.ts';
import type { CartAdder } from './cart/additions.ts';
import type { Catalogue } from './catalogue/catalogue.ts';
import type { CatalogueWatch } from './catalogue/watch.ts';
import type { CheckoutPlaces } from './checkout/places.ts';
import type { CheckoutStatements } from './checkout/statements.ts';
import type { FlashCode } from './sessions/flash.ts';
import type { Page, PageViews } from './views.ts';

/** Dependencies of the routes. */
export interface Shop {
  readonly database: Knex;
  readonly metrics: WorkerMetrics;
  readonly catalogue: CatalogueWatch;
  readonly addToCart: CartAdder;
  readonly checkouts: CheckoutPlaces;
  readonly checkoutStatements: CheckoutStatements;
  readonly payments: PaymentGateway;
  /** Name of this process in the ledger of payments. */
  readonly worker: string;
  readonly reports: SettlementReports;
  readonly diskSpace: DiskSpace;
  readonly log: Logger;
}

/** Labels of an exemplar: they lead from a metric to this request. */
export type RequestExemplar = {
  /** The id in the request's line of the log. */
  readonly request_id: string;
  /** The id of the client's trace, as W3C's Trace Context has it. */
  readonly trace_id?: string;
};

/** A request without HTTP. Everything in it but the session's id and the exemplar comes from the client, unchecked. */
export interface ShopRequest {
  /** Whether a person will see the answer, so that it counts as a view. */
  readonly isVisit: boolean;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** Fields of a posted form. */
  readonly form: Readonly<Record<string, unknown>>;
  /** Id of the visitor's session. It has a row in `sessions` once the visitor has come back, or has a cart. */
  readonly sessionId: string;
  /** For the metrics of a part of this request; undefined where the log will not have its line. */
  exemplar(): RequestExemplar | undefined;
}

/**
 * A page of the catalogue alone: it shows nothing of the visitor but what every page shows, the cart's count and a
 * message. So it is prepared once for all visitors, by its address.
 */
export type CommonPage = {
  [Name in keyof PageViews]: {
    page: Name;
    /** Its one address, also when another spelling was asked for. Never a text that a client made up. */
    address: string;
    /** What it is made of. */
    catalogue: Catalogue;
    view(): PageViews[Name];
  };
}[keyof PageViews];

/** A page to show, or where to go next with a message to show there, or data for the script of a page. */
export type Answer = (
  | Page
  | CommonPage
  | { redirect: string; flash?: FlashCode }
  | { json: Readonly<Record<string, unknown>> }
) & {
  /** Units in the visitor's open cart, from an answer that knows them. */
  cartCount?: number;
};

/** One address of the shop. `path` is the template that labels its metrics. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /**
   * It answers at once, from the catalogue in memory. It must neither query nor pay: it has no deadline, and such a wait
   * would count as the app's own time.
   */
  readonly isFromMemory?: true;
  /** It limits by itself how many of its requests wait at a time, and for how long. */
  readonly hasOwnLimits?: true;
  /** @throws {ShopError} every other outcome, for the visitor to see */
  handle(request: ShopRequest, shop: Shop): Answer | Promise<Answer>;
}
