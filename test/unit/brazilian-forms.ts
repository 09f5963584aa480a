/** Random numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FIRST_NAMES = ['Ana', 'João', 'Maria Clara', 'José', "D'Ávila", 'Antônio', 'Luíza', 'Francisco', 'Zé'];
const LAST_NAMES = ['Souza', 'da Silva', 'Gonçalves Filho', 'de Oliveira', 'Araújo', 'Pereira Neto', 'Lima 2º'];
/** Area codes, https://www.gov.br/anatel/: 11 to 99, none with a zero. */
const AREA_CODES =
  '11 12 13 14 15 16 17 18 19 21 22 24 27 28 31 32 33 34 35 37 38 41 42 43 44 45 46 47 48 49 51 53 54 55 61 62 63 64 65 66 67 68 69 71 73 74 75 77 79 81 82 83 84 85 86 87 88 89 91 92 93 94 95 96 97 98 99'.split(
    ' ',
  );

/**
 * A checkout form as Brazilians fill it in, without the card: house numbers of one to five digits, flats, blocks, and
 * telephone numbers in every usual form. Half of the forms have the house number and the `bairro` in fields of their own, as
 * in the shop's form; the others have them in the address lines. One form in 20 has a CPF in its address lines, one in 50 a telephone number, one
 * in 100 the CEP, one in 200 a CNPJ.
 */
export function brazilianForm(random: () => number): Record<string, string> {
  const chance = (share: number) => random() < share;
  const upTo = (most: number) => Math.floor(random() * most);
  const pick = <T>(choices: readonly T[]): T => choices[upTo(choices.length)] as T;
  const digits = (count: number) => Array.from({ length: count }, () => upTo(10)).join('');
  /** Short numbers are the most frequent. */
  const number = (most: number) => String(1 + upTo(10 ** (1 + upTo(most)) - 1));

  function cpf(): string {
    const base = Array.from(digits(9), Number);
    for (const _ of [1, 2]) {
      const sum = base.reduce((total, digit, i) => total + digit * (base.length + 1 - i), 0);
      base.push(((sum * 10) % 11) % 10);
    }
    const bare = base.join('');
    const formatted = bare.replace(/(...)(...)(...)(..)/, '$1.$2.$3-$4');
    return pick([formatted, `CPF ${formatted}`, `CPF: ${bare}`, `cpf nº ${bare}`, bare]);
  }
  function phone(): string {
    const area = pick(AREA_CODES);
    const [head, tail] = [chance(0.8) ? `9${digits(4)}` : `${2 + upTo(4)}${digits(3)}`, digits(4)];
    return pick([
      `+55 ${area} ${head}-${tail}`,
      `+55 (${area}) ${head}-${tail}`,
      `+55${area}${head}${tail}`,
      `55${area}${head}${tail}`,
      `(${area}) ${head}-${tail}`,
      `(${area}) ${head} ${tail}`,
      `${area} ${head}-${tail}`,
      `${area}.${head}.${tail}`,
      `${area}${head}${tail}`,
      `0${area} ${head}-${tail}`,
      `(0${area}) ${head}-${tail}`,
    ]);
  }
  const street = pick([
    'Rua das Flores',
    'Av. Brigadeiro Faria Lima',
    'Rua 7 de Setembro',
    'Av. 25 de Março',
    'Rua XV de Novembro',
    `Rua ${number(3)}`,
    `Rua T-${number(2)}`,
    `Rodovia BR-${digits(3)}, km ${number(3)}`,
    `Estrada Municipal ${number(3)}, km ${number(2)},5`,
    `SQN ${1 + upTo(9)}${digits(2)}`,
    `SCLN ${1 + upTo(9)}${digits(2)} Bloco D`,
    `QNM ${number(2)} Conjunto A Lote ${number(2)}`,
    `Quadra ${number(3)} Sul, Alameda ${number(2)}`,
    'Avenida Nove de Julho',
  ]);
  const zip = chance(0.5) ? `${digits(5)}-${digits(3)}` : digits(8);

  const hasOwnFields = chance(0.5);
  const house = pick([
    `, ${number(4)}`,
    `, ${number(4)}`,
    ` ${number(4)}`,
    `, nº ${number(4)}`,
    `, n. ${number(5)}`,
    `, ${number(4)} ${pick(['A', 'B', 'fundos', 'casa 2', 'sobrado'])}`,
    ', s/n',
    `, ${number(5)}`,
    ` ${number(4)}, apto ${number(4)}`,
    `, ${number(4)} - ${number(4)}`,
  ]);
  const complement = pick([
    '',
    '',
    `apto ${number(4)} bloco ${number(2)}`,
    `Apto. ${number(4)}, Bl. ${pick(['A', 'B', '3'])}, Centro`,
    `ap ${number(4)} torre ${number(2)} cond. ${number(3)}`,
    `${number(4)}`,
    `${number(4)}-${number(2)}`,
    `casa ${number(2)}`,
    `Sala ${number(4)}, ${number(2)}º andar`,
    `Quadra ${number(3)} Lote ${number(3)} Casa ${number(2)}`,
    `Conj. ${number(3)} - Jardim ${pick(['América', 'São Luiz', '2'])}`,
    `Bloco ${number(2)} apto ${number(4)} vaga ${number(3)}`,
  ]);
  let address1 = hasOwnFields ? street : street + house;
  let address2 = complement;
  const add = (text: string) => {
    if (chance(0.2)) address1 += `, ${text}`;
    else address2 = address2 === '' || chance(0.3) ? text : `${address2}, ${text}`;
  };
  if (chance(1 / 20)) add(cpf());
  if (chance(1 / 50)) add(pick(['tel ', 'recado ', 'WhatsApp: ', '']) + phone());
  if (chance(1 / 100)) add(pick(['CEP ', 'CEP: ', '']) + zip);
  if (chance(1 / 200)) {
    add(pick(['CNPJ ', '']) + `${digits(8)}0001${digits(2)}`.replace(/(..)(...)(...)(....)(..)/, '$1.$2.$3/$4-$5'));
  }
  return {
    first_name: pick(FIRST_NAMES),
    last_name: pick(LAST_NAMES),
    email: pick([
      'ana.souza@exemplo.com.br',
      `joao${1950 + upTo(60)}@exemplo.com.br`,
      `maria_${digits(4)}@exemplo.com`,
      `${digits(11)}@exemplo.com.br`,
    ]),
    mobile: phone(),
    address1,
    address2,
    ...(hasOwnFields && {
      number: pick([number(4), number(5), `${number(4)} ${pick(['A', 'B', 'fundos'])}`, 'S/N', `km ${number(3)}`]),
      district: pick(['Centro', 'Jardim América', 'Vila 2', `Setor ${number(2)}`, `Quadra ${number(3)}`, 'Bela Vista']),
    }),
    city: pick(['São Paulo', 'Brasília', "Olho d'Água", 'Santa Bárbara d’Oeste']),
    state: pick(['SP', 'DF', 'PB', 'Minas Gerais']),
    country: 'Brasil',
    zip,
    card_name: 'ANA C SOUZA',
  };
}
