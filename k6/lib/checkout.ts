/** A card that the simulated provider approves, and the one that it declines. */
export const APPROVED_CARD = '4242424242424242';
export const DECLINED_CARD = '4000000000000002';

/** The form fields of `POST /checkout` for one shopper. */
export function checkoutForm(cartId: string, cardNumber: string): Record<string, string> {
  return {
    cart: cartId,
    first_name: 'Marina',
    last_name: 'Teste de Carga',
    email: `marina.${__VU}.${__ITER}@example.com`,
    mobile: '(11) 91234-5678',
    address1: 'Rua das Laranjeiras, 120',
    address2: '',
    city: 'São Paulo',
    state: 'SP',
    country: 'Brasil',
    zip: '01310-100',
    card_name: 'MARINA T CARGA',
    card_number: cardNumber,
    expiry_date: '12/49',
    cvv: '123',
  };
}
