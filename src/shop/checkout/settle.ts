import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { withDeadline } from '../../deadline.ts';
import type { PaymentGateway } from '../payment/gateway.ts';
import type { Shop } from '../route.ts';

const SECOND = 1000;
const RETRY_MS = 1 * SECOND;
/** Nobody waits for it, but it is tried again only when it has ended. */
const CANCEL_DEADLINE_MS = 5 * SECOND;
/** Longer than a database or a payment provider is usually away. */
const PATIENCE_MS = 10 * 60 * SECOND;

/** An approved payment of which it is not known that it has its order. */
export interface Unsettled {
  readonly cartId: string;
  readonly reference: string;
}

/**
 * Gives a payment back unless its order was made. When a commit fails, nobody knows which: the answer may be all that
 * was lost. So it asks the database, again and again until that and the payment provider have answered; what is not
 * settled in 10 minutes, the log hands on to people. Belongs to no transaction: whoever waits for the payment provider
 * holds no locks. Never rejects.
 *
 * @returns whether the order was made; false also when that could not be found out
 */
export async function settle(
  { database, payments, log }: Pick<Shop, 'database' | 'payments' | 'log'>,
  { cartId, reference }: Unsettled,
): Promise<boolean> {
  const about = { cartId, paymentReference: reference };
  log.warn(about, 'a payment was approved whose order may not exist');
  const deadline = performance.now() + PATIENCE_MS;
  let problem: unknown;
  while (performance.now() < deadline) {
    try {
      if (await wasMade(database, cartId, reference)) {
        log.info(about, 'the order was made');
        return true;
      }
      await giveBack(payments, reference);
      log.info(about, 'the order was not made, and its payment is given back');
      return false;
    } catch (error) {
      problem = error;
      await delay(RETRY_MS, undefined, { ref: false });
    }
  }
  log.error(
    { ...about, err: problem },
    'a payment could not be settled: look whether its order was made, and give it back if not',
  );
  return false;
}

async function wasMade(database: Knex, cartId: string, reference: string): Promise<boolean> {
  return database.transaction(async (transaction) => {
    // The commit may still be under way: it holds the cart until it has ended.
    await transaction('carts').where('id', cartId).forUpdate().first('id');
    const order = await transaction('orders').where({ cart_id: cartId, payment_reference: reference }).first('id');
    return order !== undefined;
  });
}

function giveBack(payments: PaymentGateway, reference: string): Promise<void> {
  const late = () => new Error(`the payment provider has not cancelled a payment in ${CANCEL_DEADLINE_MS} ms`);
  return withDeadline(payments.cancel(reference), CANCEL_DEADLINE_MS, late);
}
