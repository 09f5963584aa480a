import { z } from 'zod';

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

/** Whether it is a UUID as we write them, in lower case: the id of a session or a cart. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

/**
 * Reads an id from an address.
 *
 * @returns null for a text that can't be an id: signs, leading zeros, exponents, numbers beyond JavaScript's safe
 *   integers
 */
export function parseId(text: string | undefined): number | null {
  if (text === undefined || !/^[1-9]\d{0,15}$/.test(text)) return null;
  const id = Number(text);
  return Number.isSafeInteger(id) ? id : null;
}

export const EMPTY = 'Preencha este campo.';

/**
 * Text as a person types it on one line: trimmed, without control characters (PostgreSQL refuses NUL in text, a line
 * break has no place in a field) and without the characters that change the direction of writing.
 */
export const line = (max: number) =>
  z
    .string({ error: EMPTY })
    .trim()
    .max(max, `Use no máximo ${max} caracteres.`)
    .regex(/^[^\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]*$/u, 'Há caracteres que não podem ser usados aqui.');
