/** First and last of a run of postal codes, by their first five digits: all codes that begin with them belong to it. */
type Range = readonly [first: number, last: number];

interface State {
  name: string;
  ceps: readonly Range[];
  capital: string;
  capitalCeps: readonly Range[];
}

/**
 * The states of Brazil with their postal codes and those of their capitals, by abbreviation.
 *
 * As published by Correios, "Faixas de CEP", https://buscacepinter.correios.com.br/app/faixa_cep_uf_localidade/. Some
 * capitals were given more codes over the years. The narrower range stands here, so that a city is never a guess.
 */
export const STATES = {
  AC: { name: 'Acre', ceps: [[69900, 69999]], capital: 'Rio Branco', capitalCeps: [[69900, 69920]] },
  AL: { name: 'Alagoas', ceps: [[57000, 57999]], capital: 'Maceió', capitalCeps: [[57000, 57099]] },
  AP: { name: 'Amapá', ceps: [[68900, 68999]], capital: 'Macapá', capitalCeps: [[68900, 68911]] },
  AM: {
    name: 'Amazonas',
    ceps: [
      [69000, 69299],
      [69400, 69899],
    ],
    capital: 'Manaus',
    capitalCeps: [[69000, 69099]],
  },
  BA: { name: 'Bahia', ceps: [[40000, 48999]], capital: 'Salvador', capitalCeps: [[40000, 42599]] },
  CE: { name: 'Ceará', ceps: [[60000, 63999]], capital: 'Fortaleza', capitalCeps: [[60000, 61599]] },
  DF: {
    name: 'Distrito Federal',
    ceps: [
      [70000, 72799],
      [73000, 73699],
    ],
    capital: 'Brasília',
    capitalCeps: [
      [70000, 72799],
      [73000, 73699],
    ],
  },
  ES: { name: 'Espírito Santo', ceps: [[29000, 29999]], capital: 'Vitória', capitalCeps: [[29000, 29099]] },
  GO: {
    name: 'Goiás',
    ceps: [
      [72800, 72999],
      [73700, 76799],
    ],
    capital: 'Goiânia',
    capitalCeps: [[74000, 74899]],
  },
  MA: { name: 'Maranhão', ceps: [[65000, 65999]], capital: 'São Luís', capitalCeps: [[65000, 65099]] },
  MT: { name: 'Mato Grosso', ceps: [[78000, 78899]], capital: 'Cuiabá', capitalCeps: [[78000, 78099]] },
  MS: { name: 'Mato Grosso do Sul', ceps: [[79000, 79999]], capital: 'Campo Grande', capitalCeps: [[79000, 79124]] },
  MG: { name: 'Minas Gerais', ceps: [[30000, 39999]], capital: 'Belo Horizonte', capitalCeps: [[30000, 31999]] },
  PA: { name: 'Pará', ceps: [[66000, 68899]], capital: 'Belém', capitalCeps: [[66000, 66999]] },
  PB: { name: 'Paraíba', ceps: [[58000, 58999]], capital: 'João Pessoa', capitalCeps: [[58000, 58099]] },
  PR: { name: 'Paraná', ceps: [[80000, 87999]], capital: 'Curitiba', capitalCeps: [[80000, 82999]] },
  PE: { name: 'Pernambuco', ceps: [[50000, 56999]], capital: 'Recife', capitalCeps: [[50000, 52999]] },
  PI: { name: 'Piauí', ceps: [[64000, 64999]], capital: 'Teresina', capitalCeps: [[64000, 64099]] },
  RJ: { name: 'Rio de Janeiro', ceps: [[20000, 28999]], capital: 'Rio de Janeiro', capitalCeps: [[20000, 23799]] },
  RN: { name: 'Rio Grande do Norte', ceps: [[59000, 59999]], capital: 'Natal', capitalCeps: [[59000, 59139]] },
  RS: { name: 'Rio Grande do Sul', ceps: [[90000, 99999]], capital: 'Porto Alegre', capitalCeps: [[90000, 91999]] },
  RO: { name: 'Rondônia', ceps: [[76800, 76999]], capital: 'Porto Velho', capitalCeps: [[76800, 76834]] },
  RR: { name: 'Roraima', ceps: [[69300, 69399]], capital: 'Boa Vista', capitalCeps: [[69300, 69339]] },
  SC: { name: 'Santa Catarina', ceps: [[88000, 89999]], capital: 'Florianópolis', capitalCeps: [[88000, 88099]] },
  SP: {
    name: 'São Paulo',
    ceps: [[1000, 19999]],
    capital: 'São Paulo',
    capitalCeps: [
      [1000, 5999],
      [8000, 8499],
    ],
  },
  SE: { name: 'Sergipe', ceps: [[49000, 49999]], capital: 'Aracaju', capitalCeps: [[49000, 49098]] },
  TO: { name: 'Tocantins', ceps: [[77000, 77999]], capital: 'Palmas', capitalCeps: [[77000, 77249]] },
} satisfies Record<string, State>;

/** Abbreviation of a state, as in addresses: `SP`. */
export type StateCode = keyof typeof STATES;

export interface Place {
  state: StateCode;
  /** The capital, if the postal code is one of its own; null for every other city. */
  city: string | null;
}

const CEP = /^(\d{5})-?\d{3}$/;

/** @returns null for a text that is no postal code, or one that no state has */
export function placeOfCep(text: string): Place | null {
  const [, head] = CEP.exec(text) ?? [];
  if (head === undefined) return null;
  const prefix = Number(head);
  const isIn = (ranges: readonly Range[]) => ranges.some(([first, last]) => first <= prefix && prefix <= last);
  for (const [code, { ceps, capital, capitalCeps }] of Object.entries<State>(STATES)) {
    if (isIn(ceps)) return { state: code as StateCode, city: isIn(capitalCeps) ? capital : null };
  }
  return null;
}

/** Whether a text names a state: by its abbreviation or its name, in any case and with or without accents. */
export function isState(text: string, code: StateCode): boolean {
  const plain = (name: string) => name.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
  return [code, STATES[code].name].some((name) => plain(name) === plain(text));
}

/** Whether a text names Brazil, as an address's country. */
export function isBrazil(country: string): boolean {
  return /^(br|bra|bra[sz]il)$/i.test(country);
}

/** A valid postal code with its hyphen: `01310-100`. */
export function formatCep(cep: string): string {
  return cep.replace(/^(\d{5})-?(\d{3})$/, '$1-$2');
}
