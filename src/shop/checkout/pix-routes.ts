import { countUnits } from '../cart/queries.ts';
import { invalid, notFound } from '../errors.ts';
import type { Answer, Route, Shop, ShopRequest } from '../route.ts';
import { followPix } from './pix.ts';
import { findPix, type Pix } from './pix-queries.ts';
import { qrCode } from './qr-code.ts';
import { findNumberOfCart } from './queries.ts';

export const pixRoutes: readonly Route[] = [
  { method: 'GET', path: '/pix/:reference', handle: showPix },
  { method: 'GET', path: '/pix/:reference/state', handle: showState },
  { method: 'POST', path: '/pix/:reference/simulation', handle: simulate },
];

async function showPix(request: ShopRequest, shop: Shop): Promise<Answer> {
  // A page that a browser fetches in advance moves nothing.
  const pix = await (request.isVisit ? currentPix : ownPix)(request, shop);
  if (pix.isOrdered) {
    const number = await findNumberOfCart(shop.database, pix.cartId);
    const cartCount = await countUnits(shop.database, request.sessionId);
    return { redirect: `/order_confirmation/${number}`, cartCount };
  }
  const { reference, amountCents, brCode, isOpen, ended } = pix;
  return {
    page: 'pix',
    view: {
      pix: {
        reference,
        state: isOpen ? 'waiting' : (ended ?? 'replaced'),
        totalCents: amountCents,
        brCode,
        qrCode: qrCode(brCode),
        secondsLeft: wholeSecondsLeft(pix),
        paidAfterSeconds: shop.payments.simulation?.paidAfterSeconds ?? null,
      },
    },
  };
}

/** For the script of the page, which shows the page again when the state has changed. */
async function showState(request: ShopRequest, shop: Shop): Promise<Answer> {
  const pix = await currentPix(request, shop);
  const state = pix.isOpen ? 'waiting' : pix.isOrdered ? 'ordered' : 'ended';
  return { json: { state, secondsLeft: wholeSecondsLeft(pix) } };
}

async function simulate(request: ShopRequest, shop: Shop): Promise<Answer> {
  const { simulation } = shop.payments;
  if (!simulation) throw noSuchPix();
  const { reference } = await ownPix(request, shop);
  const { outcome } = request.form;
  if (outcome === 'paid') await simulation.pay(reference);
  else if (outcome === 'expired') await simulation.expire(reference);
  else throw invalid('Escolha se o Pix é pago ou expira.');
  return { redirect: `/pix/${reference}` };
}

/** The visitor's own charge, after the provider was asked how it stands. */
async function currentPix(request: ShopRequest, shop: Shop): Promise<Pix> {
  const pix = await ownPix(request, shop);
  if (!pix.isOpen) return pix;
  try {
    return (await followPix(shop, pix, request.exemplar())) ? await ownPix(request, shop) : pix;
  } catch (error) {
    // The page goes on as it is, and asks again.
    shop.log.warn({ paymentReference: pix.reference, err: error }, 'a Pix could not be followed; it is tried again');
    return pix;
  }
}

async function ownPix({ params, sessionId }: ShopRequest, { database }: Shop): Promise<Pix> {
  const pix = await findPix(database, sessionId, params.reference ?? '');
  if (!pix) throw noSuchPix();
  return pix;
}

function noSuchPix() {
  return notFound('Não encontramos esse Pix.');
}

function wholeSecondsLeft({ secondsLeft }: Pix): number {
  return Math.max(0, Math.ceil(secondsLeft));
}
