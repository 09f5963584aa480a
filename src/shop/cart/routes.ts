import { conflict, invalid, notFound } from '../errors.ts';
import { parseId } from '../input.ts';
import type { Answer, Route, Shop, ShopRequest } from '../route.ts';
import { MAX_QUANTITY, sumUp } from './cart.ts';
import { addToCart, findOpenCart, findStock, removeItem, setQuantity } from './queries.ts';

export const cartRoutes: readonly Route[] = [
  { method: 'POST', path: '/add_to_cart/:id', handle: add },
  { method: 'GET', path: '/cart', handle: showCart },
  { method: 'POST', path: '/update_quantity/:item', handle: update },
  { method: 'POST', path: '/remove_item/:item', handle: remove },
];

async function add({ params, form, sessionId }: ShopRequest, { database, metrics }: Shop): Promise<Answer> {
  const productId = parseId(params.id);
  const product = productId === null ? null : await findStock(database, productId);
  if (productId === null || !product) throw notFound('Esse produto não existe ou não é mais vendido.');
  const quantity = parseQuantity(form.quantity, 1);
  if (product.stock === 0) throw conflict('Esse produto está esgotado no momento.');
  const inCart = await addToCart(database, sessionId, productId, quantity);
  if (inCart === null) {
    throw conflict(`O carrinho leva no máximo ${MAX_QUANTITY} unidades de cada produto. Nada foi alterado.`);
  }
  metrics.cartAdditions.inc({ product: product.slug });
  metrics.cartUnitsAdded.inc({ product: product.slug }, quantity);
  return { redirect: `/detail/${productId}`, flash: inCart > product.stock ? 'added_beyond_stock' : 'added' };
}

async function showCart({ sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  const { items } = await findOpenCart(database, sessionId);
  return { page: 'cart', view: { cart: sumUp(items) } };
}

async function update({ params, form, sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  const itemId = parseItem(params.item);
  const quantity = parseQuantity(form.quantity, 0);
  const found =
    quantity === 0
      ? await removeItem(database, sessionId, itemId)
      : await setQuantity(database, sessionId, itemId, quantity);
  if (!found) throw noSuchItem();
  return { redirect: '/cart', flash: quantity === 0 ? 'removed' : 'updated' };
}

async function remove({ params, sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  if (!(await removeItem(database, sessionId, parseItem(params.item)))) throw noSuchItem();
  return { redirect: '/cart', flash: 'removed' };
}

function parseItem(text: string | undefined): number {
  const itemId = parseId(text);
  if (itemId === null) throw noSuchItem();
  return itemId;
}

/**
 * Reads a quantity: plain decimal digits and nothing else, so neither `1e1`, `+1`, `-5` nor `1.0`.
 *
 * @param min 1 to add, 0 where zero removes
 * @throws {ShopError} 422
 */
function parseQuantity(value: unknown, min: 0 | 1): number {
  const quantity = typeof value === 'string' && /^(0|[1-9]\d?)$/.test(value) ? Number(value) : Number.NaN;
  if (quantity >= min && quantity <= MAX_QUANTITY) return quantity;
  const message = `A quantidade deve ser um número inteiro de ${min} a ${MAX_QUANTITY}.`;
  throw invalid(message, { fields: { quantity: message } });
}

/** The same answer for an item that doesn't exist and for another visitor's, so that it reveals neither. */
function noSuchItem() {
  return notFound('Esse item não está no seu carrinho.');
}
