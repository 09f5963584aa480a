/**
 * How Portuguese plurals end, and what their singulars end with, both without accents. A plural does not tell which rule
 * made it (`fáceis` is of `fácil`, `papéis` of `papel`), so each rule that fits gives a form.
 */
const ENDINGS: readonly (readonly [plural: string, singular: string])[] = [
  ['s', ''], // canecas, fones, mãos
  ['res', 'r'], // colares
  ['zes', 'z'], // luzes
  ['ses', 's'], // meses
  ['oes', 'ao'], // aviões
  ['aes', 'ao'], // pães
  ['ais', 'al'], // animais
  ['eis', 'el'], // papéis
  ['eis', 'il'], // fáceis
  ['ois', 'ol'], // lençóis
  ['uis', 'ul'], // azuis
  ['is', 'il'], // funis
  ['ns', 'm'], // jardins
];
const SHORTEST = 2;

/**
 * The word and what may be its singular: two words that share a form are the same word.
 *
 * The rules for Portuguese of the Snowball stemmer do not serve here: they keep `papel` and `papéis`, `jardim` and
 * `jardins` apart, and join `casa` with `caso`.
 *
 * @param word folded as `foldAccents` does
 */
export function formsOf(word: string): string[] {
  const singulars = ENDINGS.filter(([plural]) => word.endsWith(plural))
    .map(([plural, singular]) => word.slice(0, -plural.length) + singular)
    .filter((form) => form.length >= SHORTEST);
  return [word, ...singulars];
}
