/** A shopper's card. It lives in memory for the length of one request and is never written anywhere. */
export interface Card {
  holder: string;
  /** Digits only. */
  number: string;
  /** First moment at which the card is no longer valid. */
  expires: Date;
  cvv: string;
}

export interface PaymentRequest {
  /** Made by the shop, one for each attempt to pay: it identifies the attempt in every call. */
  readonly reference: string;
  /** Cents of BRL, from 1 to {@link MAX_AMOUNT_CENTS}. */
  readonly amountCents: number;
  readonly card: Card;
}

export type PaymentState = 'approved' | 'declined' | 'cancelled';

/**
 * The greatest amount of one payment, in cents of BRL: card networks carry twelve digits (ISO 8583, field 4).
 */
export const MAX_AMOUNT_CENTS = 999_999_999_999;

/** The payment provider, as far as the shop knows it. Every call may be repeated. */
export interface PaymentGateway {
  /**
   * Asks for an amount. A second call with the same reference gets the same answer, and takes no money.
   *
   * @param signal aborted when the shop stops waiting; the money may have been taken all the same
   * @throws when there is no answer, also because `signal` was aborted, or the reference is cancelled
   */
  authorize(payment: PaymentRequest, signal: AbortSignal): Promise<{ approved: boolean }>;

  /** Gives an approved amount back. A reference that the provider does not know yet can't be approved any more. */
  cancel(reference: string): Promise<void>;

  /** @returns null for a reference that the provider does not know */
  find(reference: string): Promise<PaymentState | null>;
}
