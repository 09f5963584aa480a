import type { Chance } from './chance.ts';

/** Entries of the checkout form, by the name of the field. */
export type Person = Readonly<Record<string, string>>;

/** The simulated provider approves it. */
const APPROVED_CARD = '4242 4242 4242 4242';
export const DECLINED_CARD = '4000 0000 0000 0002';

const FIRST_NAMES = [
  'Ana',
  'Bruno',
  'Camila',
  'Davi',
  'Elisa',
  'Felipe',
  'Gabriela',
  'Heitor',
  'Iara',
  'João',
  'Larissa',
  'Marcos',
  'Nina',
  'Otávio',
  'Paula',
  'Rafael',
  'Sônia',
  'Tiago',
];
const LAST_NAMES = [
  'Almeida',
  'Barbosa',
  'Cardoso',
  'Dias',
  'Ferreira',
  'Gomes',
  'Lima',
  'Moreira',
  'Nascimento',
  'Oliveira',
  'Pereira',
  'Ribeiro',
  'Santos',
  'Souza',
];
const STREETS = [
  'Rua das Laranjeiras',
  'Rua das Flores',
  'Avenida Brasil',
  'Rua Sete de Setembro',
  'Avenida Central',
  'Rua do Comércio',
];
const PLACES = [
  { zip: '01310-100', city: 'São Paulo', state: 'SP', district: 'Bela Vista', areaCode: '11' },
  { zip: '20040-002', city: 'Rio de Janeiro', state: 'RJ', district: 'Centro', areaCode: '21' },
  { zip: '30130-010', city: 'Belo Horizonte', state: 'MG', district: 'Centro', areaCode: '31' },
  { zip: '40020-000', city: 'Salvador', state: 'BA', district: 'Centro', areaCode: '71' },
  { zip: '50030-150', city: 'Recife', state: 'PE', district: 'Recife', areaCode: '81' },
  { zip: '60060-170', city: 'Fortaleza', state: 'CE', district: 'Centro', areaCode: '85' },
  { zip: '80010-000', city: 'Curitiba', state: 'PR', district: 'Centro', areaCode: '41' },
  { zip: '90010-150', city: 'Porto Alegre', state: 'RS', district: 'Centro Histórico', areaCode: '51' },
];

const COMPLEMENTS = ['', 'Apto 31', 'Casa 2', 'Bloco B, apto 104'];
const VALID_UNTIL = '12/39';

/** Invents a person who lives in Brazil and has a card that is approved. */
export function inventPerson(chance: Chance): Person {
  const first = chance.pick(FIRST_NAMES);
  const last = chance.pick(LAST_NAMES);
  const { zip, city, state, district, areaCode } = chance.pick(PLACES);
  return {
    first_name: first,
    last_name: last,
    email: `${plain(first)}.${plain(last)}@example.com`,
    mobile: `(${areaCode}) 9${chance.between(1000, 9999)}-${chance.between(1000, 9999)}`,
    address1: chance.pick(STREETS),
    number: String(chance.between(1, 999)),
    address2: chance.pick(COMPLEMENTS),
    district,
    city,
    state,
    country: 'Brasil',
    zip,
    card_name: `${first} ${last}`.toUpperCase(),
    card_number: APPROVED_CARD,
    expiry_date: VALID_UNTIL,
    cvv: String(chance.between(100, 999)),
  };
}

/** What a person enters who pays by Pix, if the shop takes it. */
export function payingByPix(person: Person): Person {
  return { ...person, payment_method: 'pix', card_name: '', card_number: '', expiry_date: '', cvv: '' };
}

/** Entries that the form refuses, however the person pays. */
const MISTAKES: readonly Person[] = [
  { email: 'ana.souza' },
  { mobile: '9876' },
  { zip: '1310' },
  { first_name: '' },
  { district: '' },
];

/** @returns a person's entries with one mistake */
export function mistype(person: Person, chance: Chance): Person {
  return { ...person, ...chance.pick(MISTAKES) };
}

/** The name without accents, in small letters. */
function plain(name: string): string {
  return name.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}
