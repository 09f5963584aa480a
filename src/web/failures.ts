import { isDatabaseFailure } from '../db/index.ts';
import { malformed, notFound, ShopError, tooLarge, unavailable, unsupportedType } from '../shop/errors.ts';

/** Turns whatever was thrown into what the visitor is told. */
export function toShopError(error: unknown): ShopError {
  if (error instanceof ShopError) return error;
  if (isDatabaseFailure(error)) return unavailable('database', { cause: error });
  return fromHttpError(error) ?? new ShopError(500, 'internal', INTERNAL, { cause: error });
}

const INTERNAL = 'Algo deu errado do nosso lado. Já fomos avisados; tente de novo em instantes.';

/** Errors of the middleware that we didn't write carry a status, as `http-errors` gives it. */
function fromHttpError(error: unknown): ShopError | null {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  switch (status) {
    case 400:
      return malformed('Não conseguimos ler esse pedido.', { cause: error });
    case 404:
      return notFound(NO_PAGE);
    case 413:
      return tooLarge({ cause: error });
    case 415:
      return unsupportedType();
    default:
      return null;
  }
}

export const NO_PAGE = 'Esta página não existe. Talvez o endereço tenha mudado ou sido digitado errado.';
