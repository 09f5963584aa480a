const ZERO = '0'.charCodeAt(0);

/**
 * The check digit of card numbers (ISO/IEC 7812-1, annex B).
 *
 * @param digits decimal digits only
 */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = digits.length - 1, doubles = false; i >= 0; i--, doubles = !doubles) {
    const digit = digits.charCodeAt(i) - ZERO;
    const value = doubles ? digit * 2 : digit;
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 === 0;
}

/**
 * Reads an expiry as printed on cards: `MM/AA`, also `MM/AAAA`; a keypad for numbers has no slash, so it may be
 * missing.
 *
 * @returns the first moment of the month after, until which the card is valid; null when it isn't one
 */
export function parseExpiry(text: string): Date | null {
  const [, month, year] = /^(0[1-9]|1[0-2])\s*\/?\s*(\d{2}|20\d{2})$/.exec(text) ?? [];
  if (month === undefined || year === undefined) return null;
  return new Date(year.length === 2 ? 2000 + Number(year) : Number(year), Number(month), 1);
}
