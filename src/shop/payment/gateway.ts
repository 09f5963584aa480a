/** What a shopper pays with. Lives in memory for the length of one request and is never written anywhere. */
export interface Card {
  holder: string;
  /** Digits only. */
  number: string;
  /** First moment at which the card is no longer valid. */
  expires: Date;
  cvv: string;
}

export type Payment = { approved: true; reference: string } | { approved: false };

/** Where money comes from. The shop knows nothing else of the payment provider. */
export interface PaymentGateway {
  /**
   * Asks for an amount.
   *
   * @param amountCents cents of BRL, above 0
   * @param signal aborted when the shop stops waiting; an approval after that is for the provider to drop
   * @throws when there is no answer, also because `signal` was aborted
   */
  authorize(amountCents: number, card: Card, signal: AbortSignal): Promise<Payment>;

  /**
   * Gives an approved amount back, for an order that could not be made after all. Called again when it has failed or
   * has not answered, so a second time must be no mistake.
   */
  cancel(reference: string): Promise<void>;
}
