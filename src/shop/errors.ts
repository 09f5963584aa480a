import type { ErrorType } from '../instrument/label-values.ts';
import type { Page } from './views.ts';

export interface ShopErrorOptions {
  /** Response headers that belong to the status, such as `Retry-After`. */
  headers?: Record<string, string>;
  /** The mistake in each field, in Portuguese, for clients that ask for JSON. */
  fields?: Record<string, string>;
  /** The page to show in place of the error page: a form with its mistakes. */
  page?: Page;
  /** Units in the visitor's open cart, from an error that knows them. */
  cartCount?: number;
  /** For the log: the setting that the operator may have to change. */
  hint?: string;
  cause?: unknown;
}

/** An outcome that the visitor sees: `message` is Portuguese and holds no secret. */
export class ShopError extends Error {
  override readonly name = 'ShopError';
  readonly status: number;
  readonly type: ErrorType;
  readonly headers: Record<string, string>;
  readonly fields: Record<string, string> | undefined;
  readonly page: Page | undefined;
  readonly cartCount: number | undefined;
  readonly hint: string | undefined;

  constructor(status: number, type: ErrorType, message: string, options: ShopErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.status = status;
    this.type = type;
    this.headers = options.headers ?? {};
    this.fields = options.fields;
    this.page = options.page;
    this.cartCount = options.cartCount;
    this.hint = options.hint;
  }
}

/** 400: the request itself can't be read. */
export const malformed = (message: string, options?: ShopErrorOptions) =>
  new ShopError(400, 'validation', message, options);

export const forbidden = (message: string, options?: ShopErrorOptions) =>
  new ShopError(403, 'forbidden', message, options);

export const notFound = (message: string) => new ShopError(404, 'not_found', message);

/** 404: the address itself, not something at it. */
export const noSuchPage = () => notFound('Esta página não existe. Talvez o link tenha mudado ou sido digitado errado.');

/** 405 with the methods that the address does answer (RFC 9110, section 15.5.6). */
export const methodNotAllowed = (allow: readonly string[]) =>
  new ShopError(405, 'validation', 'Esta página não aceita esse tipo de acesso.', {
    headers: { Allow: allow.join(', ') },
  });

/** 409: a valid request that the shop's present state does not allow. */
export const conflict = (message: string, options?: ShopErrorOptions) =>
  new ShopError(409, 'conflict', message, options);

export const tooLarge = (options?: ShopErrorOptions) =>
  new ShopError(413, 'validation', 'O formulário enviado é grande demais.', options);

export const unsupportedType = () =>
  new ShopError(415, 'validation', 'Envie os dados como um formulário em UTF-8 (application/x-www-form-urlencoded).');

/** 422: readable, but a value is not acceptable. */
export const invalid = (message: string, options?: ShopErrorOptions) =>
  new ShopError(422, 'validation', message, options);

export const paymentDeclined = (message: string, options?: ShopErrorOptions) =>
  new ShopError(422, 'payment_declined', message, options);

/** 429 @param retryAfterSeconds whole seconds until the next attempt may pass */
export const tooManyRequests = (retryAfterSeconds: number) =>
  new ShopError(429, 'rate_limited', 'Recebemos muitos envios seguidos da sua conexão, e este ainda não foi aceito.', {
    headers: { 'Retry-After': String(retryAfterSeconds) },
  });

/** 503: not now. @param type `database` when it fails or is slow, `overload` when anything else takes too long */
export const unavailable = (
  type: 'database' | 'overload',
  options: { cause?: unknown; retryAfterSeconds?: number } = {},
) =>
  new ShopError(503, type, 'A loja está com um problema passageiro. Nada do que você fez se perdeu.', {
    headers: { 'Retry-After': String(options.retryAfterSeconds ?? 2) },
    cause: options.cause,
  });
