import { maskCardNumbers } from '../shop/payment/card-numbers.ts';

/** Characters of a path that the log shows. */
const MAX_PATH = 200;
/** Characters that are looked at: what is hidden makes a path shorter. */
const MAX_READ = 2_000;
/** Each decoding makes a path shorter; one that was encoded more often tells nothing. */
const MAX_DECODINGS = 100;

const LONGEST_CARD = 19;
/** Parts of a path in which an e-mail address stands. */
const SEPARATORS = '/?#&=;,\\s';
const PARTS = new RegExp(`([${SEPARATORS}]+)`);
const LAST_PART = new RegExp(`[^${SEPARATORS}]*$`);
const ESCAPES = /(?:%[\da-f]{2})+/gi;
/** A card's number with a mistake in it would do as much harm. */
const LONG_NUMBER = /\d{12,}/g;
const DIGITS = '[digits]';
const EMAIL = '[email]';
const CUT = '[cut]';

/**
 * The path of a request's address as the log shows it: without its query, without the card numbers and e-mail addresses that
 * strangers and mistaken programs put there, and cut to 200 characters, so that all of them are found first.
 *
 * @param address as the client sent it
 */
export function loggedPath(address: string): string {
  const path = address.split('?', 1)[0] ?? '';
  const decoded = decode(path.slice(0, MAX_READ));
  const whole = path.length <= MAX_READ ? decoded : withoutCutEnd(decoded) + CUT;
  const masked = maskCardNumbers(whole, DIGITS)
    .replace(LONG_NUMBER, DIGITS)
    .split(PARTS)
    .map((part) => (/.@./.test(part.normalize('NFKC')) ? EMAIL : part))
    .join('');
  return (masked === decoded ? path : encode(masked)).slice(0, MAX_PATH);
}

/** The text without what may be the beginning of a card's number or of an e-mail address: both would not be found. */
function withoutCutEnd(text: string): string {
  const digits = Array.from(text.matchAll(/\p{N}/gu), ({ index }) => index);
  const lastDigits = digits.at(-LONGEST_CARD) ?? digits[0] ?? text.length;
  return text.slice(0, Math.min(lastDigits, text.search(LAST_PART)));
}

/** Undoes percent-encoding, also where it is malformed or was done several times. */
function decode(path: string): string {
  let decoded = path;
  for (let round = 0; round < MAX_DECODINGS; round++) {
    const before = decoded;
    decoded = before.replace(ESCAPES, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString());
    if (decoded === before) break;
  }
  // Half an escape is no digit.
  return decoded.replace(/%[\da-f](?![\da-f])/gi, '%');
}

/** In ASCII again, so that a path forges no line and moves no cursor. */
function encode(text: string): string {
  return text
    .split(/(\[(?:digits|email|cut)\])/)
    .map((part, i) => (i % 2 === 1 ? part : encodeURI(part)))
    .join('');
}
