import type { Knex } from 'knex';
import type { DiskSpace } from '../instrument/disk-space.ts';
import type { WorkerMetrics } from '../instrument/worker-metrics.ts';
import type { Logger } from '../log.ts';
import type { PaymentGateway } from '../payments/gateway.ts';
import type { SettlementReports } from '../payments/settle.ts';
import type { Catalogue } from './catalogue/catalogue.ts';
import type { Bulkhead } from './checkout/pay.ts';
import type { FlashCode } from './sessions/flash.ts';
import type { Page } from './views.ts';

/** Dependencies of the routes. */
export interface Shop {
  readonly database: Knex;
  readonly metrics: WorkerMetrics;
  readonly catalogue: Catalogue;
  readonly checkouts: Bulkhead;
  readonly payments: PaymentGateway;
  /** Name of this process in the ledger of payments. */
  readonly worker: string;
  readonly reports: SettlementReports;
  readonly diskSpace: DiskSpace;
  readonly log: Logger;
}

/** A request without HTTP. Everything in it but the session's id comes from the client, unchecked. */
export interface ShopRequest {
  /** Whether a person will see the answer, so that it counts as a view. */
  readonly isVisit: boolean;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** Fields of a posted form. */
  readonly form: Readonly<Record<string, unknown>>;
  /** Id of a session that has its row in `sessions`. */
  readonly sessionId: string;
}

/** A page to show, or where to go next with a message to show there. */
export type Answer = Page | { redirect: string; flash?: FlashCode };

/** One address of the shop. `path` is the template that labels its metrics. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** @throws {ShopError} every other outcome, for the visitor to see */
  handle(request: ShopRequest, shop: Shop): Answer | Promise<Answer>;
}
