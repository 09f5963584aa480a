import type { Form } from './shop.ts';

/** A card that the simulated provider approves, and the one that it declines. */
const APPROVED_CARD = '4242424242424242';
const DECLINED_CARD = '4000000000000002';

/** The way to pay, and how it ends. */
export type Payment = 'card' | 'declined card' | 'pix' | 'expired pix';

/** A buyer's entries in the form of the checkout. `cart` and `total_cents` are hidden fields of the page. */
export function entriesOf(payment: Payment, cart: string, totalCents: string): Form {
  const card = {
    payment_method: 'card',
    card_name: 'MARINA T CARGA',
    card_number: payment === 'declined card' ? DECLINED_CARD : APPROVED_CARD,
    expiry_date: '12/49',
    cvv: '123',
  };
  return {
    cart,
    total_cents: totalCents,
    first_name: 'Marina',
    last_name: 'Teste de Carga',
    email: 'marina.carga@example.com',
    mobile: '(11) 91234-5678',
    address1: 'Rua das Laranjeiras',
    number: '120',
    address2: '',
    district: 'Bela Vista',
    city: 'São Paulo',
    state: 'SP',
    country: 'Brasil',
    zip: '01310-100',
    ...(payment === 'card' || payment === 'declined card' ? card : { payment_method: 'pix' }),
  };
}

/** Entries that the form refuses, however the buyer pays. */
export const MISTAKES: readonly Form[] = [
  { email: 'marina.carga' },
  { mobile: '9876' },
  { zip: '1310' },
  { first_name: '' },
];
