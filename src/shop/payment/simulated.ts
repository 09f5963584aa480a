import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PaymentGateway } from './gateway.ts';

/** The one card that is refused, as in the test cards of payment providers. */
const DECLINED_NUMBER = '4000000000000002';

/**
 * A provider that approves every card but one.
 *
 * @param options.latencyMs how long an answer takes
 */
export function createSimulatedGateway(options: { latencyMs: number }): PaymentGateway {
  return {
    async authorize(_amountCents, card, signal) {
      await sleep(options.latencyMs, undefined, { signal });
      return card.number === DECLINED_NUMBER
        ? { approved: false }
        : { approved: true, reference: `sim_${randomUUID()}` };
    },
    async cancel() {},
  };
}
