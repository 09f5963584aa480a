import { MAX_AMOUNT_CENTS } from '../../payments/gateway.ts';
import { type CartItem, sumUp } from '../cart/cart.ts';
import { countUnits, findOpenCart } from '../cart/queries.ts';
import { conflict, invalid, notFound, paymentDeclined } from '../errors.ts';
import { isUuid } from '../input.ts';
import { money, mostInstallments } from '../money.ts';
import type { Answer, Route, Shop, ShopRequest } from '../route.ts';
import type { CheckoutPageView, Page } from '../views.ts';
import { STATES } from './cep.ts';
import { parseCheckout, typedBefore } from './form.ts';
import { followPhases, ORDER_NUMBER, type PlacedOrder } from './order.ts';
import { type Purchase, placeOrder } from './place-order.ts';
import { findOrder } from './queries.ts';

export const checkoutRoutes: readonly Route[] = [
  { method: 'GET', path: '/checkout', handle: showForm },
  { method: 'POST', path: '/checkout', hasOwnLimits: true, handle: submit },
  { method: 'GET', path: '/order_confirmation/:number', handle: showConfirmation },
];

const EMPTY = { redirect: '/cart', flash: 'cart_empty' } as const satisfies Answer;

async function showForm({ sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  const { cartId, items } = await findOpenCart(database, sessionId);
  if (cartId === null || items.length === 0) return { ...EMPTY, cartCount: 0 };
  const cart = sumUp(items);
  return { ...formPage({ cart, form: {}, errors: {}, cartId }), cartCount: cart.count };
}

function formPage(view: Omit<CheckoutPageView, 'states'>): Page {
  return { page: 'checkout', view: { ...view, states: STATES } };
}

async function submit(request: ShopRequest, shop: Shop): Promise<Answer> {
  const placed = await order(request, shop);
  return answer(placed, request, shop);
}

async function order(request: ShopRequest, shop: Shop): Promise<PlacedOrder> {
  const phases = followPhases(shop.metrics, request.exemplar());
  try {
    phases.enter('validate');
    const purchase = await validPurchase(request, shop);
    return await placeOrder(shop, purchase, phases);
  } finally {
    phases.end();
  }
}

/** @throws {ShopError} 422 with the form and its mistakes */
async function validPurchase(request: ShopRequest, shop: Shop): Promise<Purchase> {
  const { form, sessionId } = request;
  const cartId = parseCartId(form.cart);
  const totalCents = parseTotal(form.total_cents);
  const parsed = parseCheckout(form);
  if (!parsed.ok) {
    throw invalid('Confira os dados do pedido.', {
      fields: parsed.errors,
      ...(await formAgain(request, shop, parsed.errors)),
    });
  }
  return { sessionId, cartId, totalCents, customer: parsed.customer, payment: parsed.payment };
}

function parseCartId(value: unknown): string | null {
  if (value === undefined || value === '') return null;
  if (isUuid(value)) return value;
  throw invalid('Esse carrinho não existe. Abra o carrinho e finalize o pedido de novo.');
}

function parseTotal(value: unknown): number | null {
  if (value === undefined) return null;
  // As long as a bigint. Far above what an order may cost, it need not be exact.
  if (typeof value === 'string' && /^(0|[1-9]\d{0,18})$/.test(value)) return Number(value);
  throw invalid('O total não confere. Abra o carrinho e finalize o pedido de novo.');
}

async function answer(placed: PlacedOrder, request: ShopRequest, shop: Shop): Promise<Answer> {
  switch (placed.outcome) {
    case 'paid':
      return { redirect: `/order_confirmation/${placed.number}`, cartCount: placed.lateUnits };
    case 'repeated': {
      const cartCount = await countUnits(shop.database, request.sessionId);
      return { redirect: `/order_confirmation/${placed.number}`, cartCount };
    }
    case 'charged':
      return { redirect: `/pix/${placed.reference}` };
    case 'empty':
      // The visitor may have another cart, which the next page counts.
      return EMPTY;
    case 'declined': {
      const message = 'O pagamento foi recusado. Seu carrinho continua aqui: confira os dados ou tente outro cartão.';
      throw paymentDeclined(message, await formAgain(request, shop, { form: message }));
    }
    case 'total_changed': {
      const message = `O total do pedido mudou, e agora é ${money(placed.totalCents)}. Confira o resumo antes de finalizar.`;
      throw conflict(message, await formAgain(request, shop, { form: message }));
    }
    case 'too_expensive': {
      const message = `O total do pedido passa de ${money(MAX_AMOUNT_CENTS)}, o máximo de um pagamento. Divida a compra em mais de um pedido.`;
      throw conflict(message, await formAgain(request, shop, { form: message }));
    }
    case 'too_many_installments': {
      const most = mostInstallments(placed.totalCents);
      const message = `O total de ${money(placed.totalCents)} pode ser pago em até ${most}x.`;
      const fields = { installments: message };
      throw invalid(message, { fields, ...(await formAgain(request, shop, fields)) });
    }
    case 'out_of_stock': {
      const message = `Não há estoque suficiente: ${placed.lacking.map(stockLeft).join('; ')}. Ajuste o carrinho.`;
      throw conflict(message, await formAgain(request, shop, { form: message }));
    }
  }
}

function stockLeft({ product, quantity }: CartItem): string {
  if (product.stock === 0) return `${product.name} está esgotado`;
  return `de ${product.name} só ${product.stock === 1 ? 'resta 1' : `restam ${product.stock}`}, e você pediu ${quantity}`;
}

/** The form as it was, without the card's data; nothing when there is no cart to order. */
async function formAgain(
  { form, sessionId }: ShopRequest,
  { database }: Shop,
  errors: CheckoutPageView['errors'],
): Promise<{ page?: Page; cartCount: number }> {
  const { cartId, items } = await findOpenCart(database, sessionId);
  if (cartId === null || items.length === 0) return { cartCount: 0 };
  const cart = sumUp(items);
  return {
    page: formPage({ cart, form: typedBefore(form), errors, cartId }),
    cartCount: cart.count,
  };
}

async function showConfirmation({ params, sessionId }: ShopRequest, { database }: Shop): Promise<Answer> {
  const number = params.number ?? '';
  const order = ORDER_NUMBER.test(number) ? await findOrder(database, sessionId, number) : null;
  if (!order) throw notFound('Não encontramos esse pedido.');
  return { page: 'order_confirmation', view: { order } };
}
