import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Shop } from '../route.ts';

const SECOND = 1000;
const RETRY_MS = 1 * SECOND;
/** Longer than a database is usually away. */
const PATIENCE_MS = 10 * 60 * SECOND;

/** An approved payment whose order was sent to be committed. */
export interface Unsettled {
  readonly cartId: string;
  readonly reference: string;
}

/**
 * Gives a payment back unless its order was made. When a commit fails, nobody knows which: the answer may be all that
 * was lost. So it asks the database, again and again until that answers; what it can't find out in 10 minutes, the log
 * hands on to people. Never rejects.
 */
export async function settle(
  { database, payments, log }: Pick<Shop, 'database' | 'payments' | 'log'>,
  { cartId, reference }: Unsettled,
): Promise<void> {
  const about = { cartId, paymentReference: reference };
  log.warn(about, 'it is unknown whether a paid order was made');
  const deadline = performance.now() + PATIENCE_MS;
  let problem: unknown;
  while (performance.now() < deadline) {
    try {
      if (await wasMade(database, cartId, reference)) {
        log.info(about, 'the order was made');
      } else {
        await payments.cancel(reference);
        log.info(about, 'the order was not made, and its payment is given back');
      }
      return;
    } catch (error) {
      problem = error;
      await delay(RETRY_MS, undefined, { ref: false });
    }
  }
  log.error({ ...about, err: problem }, 'still unknown whether a paid order was made: look, and give its payment back');
}

async function wasMade(database: Knex, cartId: string, reference: string): Promise<boolean> {
  return database.transaction(async (transaction) => {
    // The commit may still be under way: it holds the cart until it has ended.
    await transaction('carts').where('id', cartId).forUpdate().first('id');
    const order = await transaction('orders').where({ cart_id: cartId, payment_reference: reference }).first('id');
    return order !== undefined;
  });
}
