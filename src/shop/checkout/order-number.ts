import { randomBytes } from 'node:crypto';

/** RFC 4648, section 6. */
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const LENGTH = 16;

export const ORDER_NUMBER = new RegExp(`^FS-[${BASE32}]{${LENGTH}}$`);

/** A number that nobody guesses: 80 random bits. */
export function newOrderNumber(): string {
  // 256 is a multiple of 32, so every letter is as likely as any other.
  return `FS-${Array.from(randomBytes(LENGTH), (byte) => BASE32[byte % BASE32.length]).join('')}`;
}
