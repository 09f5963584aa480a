/** A message that the next page shows once. */
export interface Flash {
  kind: 'success' | 'error' | 'info';
  text: string;
}

/** The messages that survive a redirect. The cookie carries only the code, so the text is always the shop's. */
export const FLASHES = {
  added: { kind: 'success', text: 'Produto adicionado ao carrinho.' },
  added_beyond_stock: {
    kind: 'info',
    text: 'Produto adicionado, mas há mais unidades no carrinho do que no estoque. Ajuste a quantidade antes de finalizar.',
  },
  updated: { kind: 'success', text: 'Quantidade atualizada.' },
  removed: { kind: 'success', text: 'Produto removido do carrinho.' },
  cart_empty: { kind: 'info', text: 'Seu carrinho está vazio. Escolha um produto antes de finalizar.' },
} as const satisfies Record<string, Flash>;

export type FlashCode = keyof typeof FLASHES;

export function isFlashCode(code: unknown): code is FlashCode {
  return typeof code === 'string' && Object.hasOwn(FLASHES, code);
}
