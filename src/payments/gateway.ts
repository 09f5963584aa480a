export type PaymentMethod = 'card' | 'pix';

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
  /** Into which the card's issuer splits the amount, without interest; 1: paid at once. */
  readonly installments: number;
}

/** A Pix, which the shopper pays from the app of a bank. */
export interface PixRequest {
  /** As of a {@link PaymentRequest}. */
  readonly reference: string;
  /** As of a {@link PaymentRequest}. */
  readonly amountCents: number;
}

export interface PixCharge {
  /** The text of the QR code, to be copied as well: `br-code.ts`. */
  readonly brCode: string;
  /** It can't be paid after this moment. */
  readonly expiresAt: Date;
}

/** `waiting`: a Pix that can be paid. One that expires is `cancelled`. */
export type PaymentState = 'waiting' | 'approved' | 'declined' | 'cancelled';

/** What a person does elsewhere with a Pix, at the bank or by letting time pass. A real provider has none of this. */
export interface PixSimulation {
  /** Seconds until a charge is paid without a call of these two. */
  readonly paidAfterSeconds: number;
  pay(reference: string): Promise<void>;
  /** The charge expires now, and is not paid. */
  expire(reference: string): Promise<void>;
}

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

  /**
   * Makes a Pix that can be paid. A second call with the same reference gets the same charge. Whether it was paid, `find`
   * tells.
   *
   * @param signal as of `authorize`
   * @throws as `authorize`
   */
  charge(payment: PixRequest, signal: AbortSignal): Promise<PixCharge>;

  /**
   * Gives an approved amount back. A Pix that was not paid can't be paid any more, and a reference that the provider does
   * not know yet can't be approved any more.
   */
  cancel(reference: string): Promise<void>;

  /** @returns null for a reference that the provider does not know */
  find(reference: string): Promise<PaymentState | null>;

  /** Of a simulated provider alone. */
  readonly simulation?: PixSimulation;
}
