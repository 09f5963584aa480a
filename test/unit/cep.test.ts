import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCep, isState, placeOfCep, STATES, type StateCode } from '../../src/shop/checkout/cep.ts';

const codes = Object.keys(STATES) as StateCode[];

test('each state has its postal codes, and no two share one', () => {
  assert.equal(codes.length, 27);
  const ranges = codes
    .flatMap((code) => STATES[code].ceps.map(([first, last]) => ({ code, first, last })))
    .sort((a, b) => a.first - b.first);
  let before = -1;
  for (const { code, first, last } of ranges) {
    assert.ok(before < first && first <= last, `${code} ${first}`);
    assert.equal(placeOfCep(`${String(first).padStart(5, '0')}-000`)?.state, code);
    assert.equal(placeOfCep(`${String(last).padStart(5, '0')}999`)?.state, code);
    before = last;
  }
});

test('the postal codes of a capital are among those of its state', () => {
  for (const code of codes) {
    for (const [first, last] of STATES[code].capitalCeps) {
      for (const prefix of [first, last]) {
        const place = placeOfCep(`${String(prefix).padStart(5, '0')}-500`);
        assert.deepEqual(place, { state: code, city: STATES[code].capital });
      }
    }
  }
});

test('known addresses are in their state, and in their city if it is a capital', () => {
  const known: Record<string, [state: string, city: string | null]> = {
    '01310-100': ['SP', 'São Paulo'],
    '08090000': ['SP', 'São Paulo'],
    '06010-000': ['SP', null], // Osasco
    '13010-000': ['SP', null], // Campinas
    '20040-020': ['RJ', 'Rio de Janeiro'],
    '24020-000': ['RJ', null], // Niterói
    '29010-000': ['ES', 'Vitória'],
    '30140-071': ['MG', 'Belo Horizonte'],
    '32010-000': ['MG', null], // Contagem
    '40020-000': ['BA', 'Salvador'],
    '49010-000': ['SE', 'Aracaju'],
    '53020-000': ['PE', null], // Olinda
    '69005-000': ['AM', 'Manaus'],
    '69301-000': ['RR', 'Boa Vista'],
    '69460-000': ['AM', null], // Coari
    '68900-000': ['AP', 'Macapá'],
    '68740-000': ['PA', null], // Castanhal
    '70040-010': ['DF', 'Brasília'],
    '72870-000': ['GO', null], // Valparaíso de Goiás
    '73010-000': ['DF', 'Brasília'],
    '76801-000': ['RO', 'Porto Velho'],
    '77001-000': ['TO', 'Palmas'],
    '88010-000': ['SC', 'Florianópolis'],
    '95010-000': ['RS', null], // Caxias do Sul
  };
  for (const [cep, [state, city]] of Object.entries(known)) assert.deepEqual(placeOfCep(cep), { state, city }, cep);
});

test('a text that is no postal code has no place', () => {
  for (const text of ['', '0131010', '013101000', '01310 100', '00999-999', '78900-000', 'SW1A 1AA', '01310-10a']) {
    assert.equal(placeOfCep(text), null, text);
  }
});

test('a state is named by its abbreviation or its name', () => {
  for (const text of ['PA', 'pa', 'Pará', 'para', 'PARÁ']) assert.ok(isState(text, 'PA'), text);
  for (const text of ['', 'PB', 'Paraíba', 'Par']) assert.ok(!isState(text, 'PA'), text);
});

test('a postal code is shown with its hyphen', () => {
  assert.equal(formatCep('01310100'), '01310-100');
  assert.equal(formatCep('01310-100'), '01310-100');
});
