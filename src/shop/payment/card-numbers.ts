import { passesLuhn } from './card.ts';

/** A part of a text, in UTF-16 units; `end` is the first unit behind it. */
export interface Range {
  start: number;
  end: number;
}

interface Issuer {
  prefix: RegExp;
  lengths: readonly number[];
  /**
   * Count a number only if no other digit touches it, because such numbers are as short and common as telephone
   * numbers.
   */
  alone?: true;
}

/**
 * Prefixes and lengths of the common issuers; ranges as in https://en.wikipedia.org/wiki/Payment_card_number and
 * https://github.com/braintree/credit-card-type. Elo is among those that begin with 4, 5 and 6.
 */
const ISSUERS: readonly Issuer[] = [
  { prefix: /^4/, lengths: [13, 16, 18, 19] }, // Visa
  { prefix: /^(5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720))/, lengths: [16] }, // Mastercard
  { prefix: /^220[0-4]/, lengths: [16, 17, 18, 19] }, // Mir
  { prefix: /^3[47]/, lengths: [15] }, // American Express
  { prefix: /^3(0[0-5]|095|[689])/, lengths: [14, 16, 17, 18, 19] }, // Diners Club
  { prefix: /^3841[046]0/, lengths: [13, 16, 19] }, // Hipercard
  { prefix: /^35/, lengths: [16, 17, 18, 19] }, // JCB
  { prefix: /^(1800|2131)/, lengths: [15, 16, 17, 18, 19] }, // JCB
  { prefix: /^(5[06-9]|6|8[12])/, lengths: [16, 17, 18, 19] }, // Discover, Elo, Hipercard, Maestro, RuPay, UnionPay
  { prefix: /^(493698|50(18|2|38)|5893|6304|67(59|6[1-3]))/, lengths: [12, 13, 14, 15, 17] }, // Maestro
  { prefix: /^(5[06-9]|6)/, lengths: [12, 13, 14, 15], alone: true }, // Maestro, UnionPay
];
const LONGEST_PREFIX = 6;
const SHORTEST_NUMBER = 12;
/** Digits behind a plus sign are a telephone number up to this length. */
const LONGEST_PHONE = 13;

/** Up to three characters between digits of one number: marks and single letters do not separate numbers. */
const NEAR = String.raw`(?:[^\p{L}\d\n,;]|(?<!\p{L})\p{L}(?!\p{L})){0,3}`;
const ALONE_BEFORE = String.raw`(?<!\d${NEAR})`;
const ALONE_AFTER = String.raw`(?!${NEAR}\d)`;

/**
 * Numbers of other kinds, recognised by their marks or by a name before them. Their digits are part of no card number,
 * unless other digits are near: then they may be a part of a longer number.
 */
const OTHER_NUMBERS = [
  String.raw`(?<!\d)\d{2}\.\d{3}\.\d{3}\/\d{4}-\d{2}${ALONE_AFTER}`, // CNPJ
  String.raw`(?<!\d)(?:\+55 ?)?\(0?\d\d\) ?9?\d{4}[ .-]?\d{4}${ALONE_AFTER}`, // telephones
  String.raw`(?<!\d)\+55 ?0?\d\d ?9?\d{4}[ .-]?\d{4}${ALONE_AFTER}`,
  String.raw`${ALONE_BEFORE}0?\d\d[ .]9\d{4}-\d{4}${ALONE_AFTER}`,
  String.raw`(?<!\p{L})cep[^\p{L}\d]{0,3}\d{2}\.?\d{3}[ -]?\d{3}${ALONE_AFTER}`,
].map((pattern) => new RegExp(pattern, 'giu'));
/** With its marks, or with its name before it. */
const CPF = [
  /(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)/g,
  /\bcpf\W{0,3}(?:n[o.]?\W{0,3})?\d{3}[ .]?\d{3}[ .]?\d{3}[ ./-]?\d{2}(?!\d)/gi,
];

/** Separators between two digits, from the weakest to the clearest. */
const GAP = {
  none: 0,
  /** Marks, spaces, single letters. */
  marks: 1,
  /** The separator of a list's entries, as in `Rua das Flores, 120 - 34`. */
  entries: 2,
  /** The end of one text and the beginning of the next. */
  texts: 3,
  /** Two letters or more in a row. */
  words: 4,
} as const;
type Gap = (typeof GAP)[keyof typeof GAP];

const ENTRIES = /[,;]\s|\s[-–—]\s/;
const WORD = /\p{L}\p{M}*\p{L}/u;
const DIGIT = /\p{Nd}/u;
/** Most texts fail this quick test. NFKC turns some characters into several digits, such as ⑫; those are not ASCII. */
const ENOUGH_DIGITS = /[^\0-\x7f]|(?:\d\D*){12}/;
const ASCII = /^[\0-\x7f]*$/;

/**
 * Finds card numbers: an issuer's prefix and length, then Luhn (ISO/IEC 7812-1, annex B), among the digits of a text in
 * any script or width, with anything between them and other digits beside them.
 *
 * Real addresses must pass. So a number that spans words, two texts, or two entries of a list must begin and end with
 * whole groups of digits. If it spans words, or both texts and entries, its groups must be those of a card, like
 * 4-4-4-4. A CPF, a CNPJ, a CEP or a telephone number is part of no card number.
 *
 * @param text one text, or several that are kept beside each other, each on a line of its own
 * @returns ranges of the text, in order, that don't overlap
 */
export function findCardNumbers(text: string): Range[] {
  if (!ENOUGH_DIGITS.test(text)) return [];
  const { plain, placeOf } = toPlain(text);
  const masked = withoutOtherNumbers(plain);
  const positions = Array.from(masked.matchAll(/\d/g), ({ index }) => index);
  if (positions.length < SHORTEST_NUMBER) return [];
  const digits = positions.map((position) => masked[position]).join('');
  const gaps = positions.map((position, i) =>
    gapBetween(masked, i === 0 ? -1 : (positions[i - 1] as number), position),
  );
  const found: Range[] = [];

  for (let first = 0; first <= digits.length - SHORTEST_NUMBER; first++) {
    const length = longestFrom(first);
    if (length === 0) continue;
    const start = placeOf(positions[first] as number);
    const end = placeOf((positions[first + length - 1] as number) + 1);
    const before = found.at(-1);
    // Of two that overlap, either may be the card's, so the range covers both.
    if (before && start < before.end) before.end = Math.max(before.end, end);
    else found.push({ start, end });
  }
  return found;

  /** Length of the longest card's number that begins with this digit, or 0. */
  function longestFrom(first: number): number {
    const prefix = digits.slice(first, first + LONGEST_PREFIX);
    const afterPlus = masked[(positions[first] as number) - 1] === '+';
    let longest = 0;
    for (const issuer of ISSUERS) {
      if (!issuer.prefix.test(prefix)) continue;
      for (const length of issuer.lengths) {
        if (length <= longest || first + length > digits.length) continue;
        if (afterPlus && length <= LONGEST_PHONE) continue;
        if (passesLuhn(digits.slice(first, first + length)) && isWrittenAsOne(first, length, issuer.alone === true))
          longest = length;
      }
    }
    return longest;
  }

  function isWrittenAsOne(first: number, length: number, alone: boolean): boolean {
    const within = gaps.slice(first + 1, first + length);
    const widest = Math.max(...within);
    if (alone ? widest > GAP.marks : widest <= GAP.marks) return !alone;
    if (first > 0 && gaps[first] === GAP.none) return false;
    if (first + length < digits.length && gaps[first + length] === GAP.none) return false;
    if (widest === GAP.entries || (widest === GAP.texts && !within.includes(GAP.entries))) return true;
    return isGroupedAsOnCards(within);
  }
}

/** Whether a text holds a card's number; see {@link findCardNumbers}. */
export function holdsCardNumber(text: string): boolean {
  return findCardNumbers(text).length > 0;
}

/** The text with something else in the place of its card numbers. */
export function maskCardNumbers(text: string, mask: string): string {
  let masked = '';
  let done = 0;
  for (const { start, end } of findCardNumbers(text)) {
    masked += text.slice(done, start) + mask;
    done = end;
  }
  return masked + text.slice(done);
}

/**
 * The text after NFKC and with ASCII digits, character by character, so that each keeps its place.
 *
 * @returns `placeOf`: where in the text a unit of `plain` comes from
 */
function toPlain(text: string): { plain: string; placeOf(index: number): number } {
  if (ASCII.test(text)) return { plain: text, placeOf: (index) => index };
  const places: number[] = [];
  let plain = '';
  let place = 0;
  for (const char of text) {
    const normal = ASCII.test(char) ? char : Array.from(char.normalize('NFKC'), toAsciiDigit).join('');
    for (let unit = 0; unit < normal.length; unit++) places.push(place);
    plain += normal;
    place += char.length;
  }
  return { plain, placeOf: (index) => places[index] ?? text.length };
}

/**
 * Unicode's decimal digits come in runs of ten, from 0 to 9 (https://www.unicode.org/policies/stability_policy.html).
 */
function toAsciiDigit(char: string): string {
  if (!DIGIT.test(char)) return char;
  const code = char.codePointAt(0) as number;
  let before = 0;
  while (DIGIT.test(String.fromCodePoint(code - before - 1))) before++;
  return String(before % 10);
}

/** The text with letters in the place of numbers of another kind. */
function withoutOtherNumbers(plain: string): string {
  const rest = OTHER_NUMBERS.reduce((text, known) => text.replace(known, cross), plain);
  return CPF.reduce((text, known) => text.replace(known, crossOutCpf), rest);
}

/** Crosses a CPF out, if it is a valid one; a card's digits can be written in the same way. */
export function crossOutCpf(number: string): string {
  return isCpf(number.replace(/\D/g, '')) ? cross(number) : number;
}

function cross(number: string): string {
  return 'x'.repeat(number.length);
}

/** Whether eleven digits end in a CPF's two check digits: each makes a weighted sum a multiple of eleven. */
function isCpf(digits: string): boolean {
  return [9, 10].every((count) => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += Number(digits[i]) * (count + 1 - i);
    return ((sum * 10) % 11) % 10 === Number(digits[count]);
  });
}

function gapBetween(text: string, from: number, to: number): Gap {
  if (to - from === 1) return GAP.none;
  const between = text.slice(from + 1, to);
  if (WORD.test(between)) return GAP.words;
  if (between.includes('\n')) return GAP.texts;
  return ENTRIES.test(between) ? GAP.entries : GAP.marks;
}

/** @param within the gaps between the digits of one number */
function isGroupedAsOnCards(within: readonly Gap[]): boolean {
  const groups = [1];
  for (const gap of within) {
    if (gap === GAP.none) groups[groups.length - 1] = (groups.at(-1) as number) + 1;
    else groups.push(1);
  }
  const [size = 0, ...others] = groups;
  const last = others.pop() ?? 0;
  return (
    /^4,6,[45]$/.test(groups.join()) ||
    ((size === 4 || size === 1) && last <= size && others.every((other) => other === size))
  );
}
