import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formsOf } from '../../src/shop/catalogue/plurals.ts';
import { foldAccents } from '../../src/shop/catalogue/search.ts';

function isSameWord(one: string, other: string): boolean {
  const [forms, others] = [one, other].map((word) => formsOf(foldAccents(word)));
  return forms?.some((form) => others?.includes(form)) ?? false;
}

/** By the ending of the singular. */
const PAIRS: Record<string, [singular: string, plural: string][]> = {
  vowel: [
    ['relógio', 'relógios'],
    ['fone', 'fones'],
    ['caneca', 'canecas'],
    ['térmica', 'térmicas'],
    ['troféu', 'troféus'],
    ['maçã', 'maçãs'],
    ['mão', 'mãos'],
    ['pé', 'pés'],
    ['torre', 'torres'],
    ['base', 'bases'],
  ],
  ão: [
    ['avião', 'aviões'],
    ['limão', 'limões'],
    ['pão', 'pães'],
    ['cão', 'cães'],
  ],
  al: [
    ['animal', 'animais'],
    ['jornal', 'jornais'],
  ],
  el: [
    ['papel', 'papéis'],
    ['dobrável', 'dobráveis'],
    ['móvel', 'móveis'],
  ],
  ol: [
    ['lençol', 'lençóis'],
    ['girassol', 'girassóis'],
  ],
  ul: [['azul', 'azuis']],
  il: [
    ['funil', 'funis'],
    ['barril', 'barris'],
    ['fácil', 'fáceis'],
    ['portátil', 'portáteis'],
  ],
  m: [
    ['jardim', 'jardins'],
    ['homem', 'homens'],
    ['som', 'sons'],
    ['álbum', 'álbuns'],
  ],
  n: [['hífen', 'hifens']],
  r: [
    ['colar', 'colares'],
    ['flor', 'flores'],
  ],
  z: [
    ['luz', 'luzes'],
    ['giz', 'gizes'],
  ],
  s: [
    ['mês', 'meses'],
    ['país', 'países'],
    ['lápis', 'lápis'],
    ['óculos', 'óculos'],
  ],
};

for (const [ending, pairs] of Object.entries(PAIRS)) {
  test(`a plural of a singular in -${ending} is the same word`, () => {
    for (const [singular, plural] of pairs) {
      assert.ok(isSameWord(singular, plural), `${singular}, ${plural}`);
      assert.ok(isSameWord(plural, singular), `${plural}, ${singular}`);
    }
  });
}

test('other words are not the same', () => {
  const others: [string, string][] = [
    ['casa', 'caso'],
    ['casas', 'casacos'],
    ['porta', 'porte'],
    ['mala', 'malha'],
    ['fone', 'fonte'],
    ['mesa', 'meses'],
    ['pulso', 'pulseira'],
    ['cor', 'coral'],
    ['luz', 'luva'],
    ['caneca', 'caneta'],
  ];
  for (const [one, other] of others) assert.ok(!isSameWord(one, other), `${one}, ${other}`);
});

test('a word is always one of its forms, and no form is shorter than two letters', () => {
  for (const word of ['s', 'as', 'is', 'ns', 'res', 'ais', 'x', '10', 'kit']) {
    assert.equal(formsOf(word)[0], word);
    for (const form of formsOf(word).slice(1)) assert.ok(form.length >= 2, `${word}: ${form}`);
  }
});
