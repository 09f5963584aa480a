import { conflict, notFound } from '../errors.ts';
import { parseId } from '../input.ts';
import type { Answer, Route, Shop, ShopRequest } from '../route.ts';
import { addToCart, findOpenCart, findStock, removeItem, setQuantity } from './queries.ts';
import { MAX_QUANTITY, parseQuantity, sumUp } from './rules.ts';

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

/** The same for an item that doesn't exist and for someone else's, so that nobody learns which it is. */
function noSuchItem() {
  return notFound('Esse item não está no seu carrinho.');
}
