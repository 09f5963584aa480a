import { maskCardNumbers } from '../shop/payment/card-numbers.ts';

/** Characters of a path that the log shows. */
const MAX_PATH = 200;
/** Characters that are looked at: what is hidden makes a path shorter. */
const MAX_READ = 2_000;
/** Each decoding makes a path shorter; one that was encoded more often tells nothing. */
const MAX_DECODINGS = 100;

const ESCAPES = /(?:%[\da-f]{2})+/gi;
/** A card's number with a mistake in it would do as much harm. */
const LONG_NUMBER = /\d{12,}/g;
const DIGITS = '[digits]';
const EMAIL = '[email]';

/**
 * The path of a request's address as the log shows it: without its query, without the card numbers and e-mail addresses that
 * strangers and mistaken programs put there, and cut to 200 characters, so that all of them are found first.
 *
 * @param address as the client sent it
 */
export function loggedPath(address: string): string {
  const path = address.split('?', 1)[0]?.slice(0, MAX_READ) ?? '';
  const decoded = decode(path);
  const masked = maskCardNumbers(decoded, DIGITS)
    .replace(LONG_NUMBER, DIGITS)
    .split(/([/?#&=;,\s]+)/)
    .map((part) => (/.@./.test(part.normalize('NFKC')) ? EMAIL : part))
    .join('');
  return (masked === decoded ? path : encode(masked)).slice(0, MAX_PATH);
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
    .split(/(\[digits\]|\[email\])/)
    .map((part, i) => (i % 2 === 1 ? part : encodeURI(part)))
    .join('');
}
