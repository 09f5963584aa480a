import type { Knex } from 'knex';
import { parseReturnPath } from '../catalogue/return-path.ts';
import { conflict, invalid, notFound } from '../errors.ts';
import { parseId } from '../input.ts';
import type { Answer, Route, Shop, ShopRequest } from '../route.ts';
import { MAX_QUANTITY, sumUp } from './cart.ts';
import { findOpenCart, setQuantity } from './queries.ts';

export const cartRoutes: readonly Route[] = [
  { method: 'POST', path: '/add_to_cart/:id', handle: add },
  { method: 'GET', path: '/cart', handle: showCart },
  { method: 'POST', path: '/update_quantity/:item', handle: update },
  { method: 'POST', path: '/remove_item/:item', handle: remove },
];

async function add({ params, form, sessionId }: ShopRequest, { addToCart, metrics }: Shop): Promise<Answer> {
  const productId = parseId(params.id);
  if (productId === null) throw noSuchProduct();
  const quantity = parseQuantity(form.quantity, 1);
  const added = await addToCart({ sessionId, productId, quantity });
  if (!added) throw noSuchProduct();
  const { slug, stock, inCart, cartCount } = added;
  if (stock === 0) throw conflict('Esse produto está esgotado no momento.');
  if (inCart === null) {
    throw conflict(`O carrinho leva no máximo ${MAX_QUANTITY} unidades de cada produto. Nada foi alterado.`);
  }
  metrics.cartAdditions.inc({ product: slug });
  metrics.cartUnitsAdded.inc({ product: slug }, quantity);
  const list = parseReturnPath(form.from);
  return {
    redirect: list ? `${list}#produto-${productId}` : `/detail/${productId}`,
    flash: inCart > stock ? 'added_beyond_stock' : 'added',
    cartCount,
  };
}

async function showCart({ sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  const { items } = await findOpenCart(database, sessionId);
  const cart = sumUp(items);
  return { page: 'cart', view: { cart }, cartCount: cart.count };
}

async function update({ params, form, sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  const itemId = parseItem(params.item);
  return changeItem(database, sessionId, itemId, parseQuantity(form.quantity, 0), form.next);
}

function remove({ params, form, sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  return changeItem(database, sessionId, parseItem(params.item), 0, form.next);
}

/** @param next from the page's forms: the neighbour of the item, where the page continues if the item is removed */
async function changeItem(
  database: Knex,
  sessionId: string,
  itemId: number,
  quantity: number,
  next: unknown,
): Promise<Answer> {
  const cartCount = await setQuantity(database, sessionId, itemId, quantity);
  if (cartCount === null) throw noSuchItem();
  const neighbour = typeof next === 'string' ? parseId(next) : null;
  const place = quantity === 0 ? neighbour : itemId;
  return {
    redirect: neighbour === null ? '/cart' : `/cart#item-${place}`,
    flash: quantity === 0 ? 'removed' : 'updated',
    cartCount,
  };
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
  const message = `Escolha uma quantidade de ${min} a ${MAX_QUANTITY}.`;
  throw invalid(message, { fields: { quantity: message } });
}

function noSuchProduct() {
  return notFound('Esse produto não existe ou não é mais vendido.');
}

/** The same answer for an item that doesn't exist and for another visitor's, so that it reveals neither. */
function noSuchItem() {
  return notFound('Esse item não está no seu carrinho.');
}
