import { type Format, formatNumber, type Language } from './format.ts';

/*
 * The rules of the verdict and of the lamps in words. A rule's name is in the field `rule` of both. The limits are here so
 * that the texts name the numbers that are compared.
 */

/** Above these a rule lights its lamp. Means are of the last minute, or of 5 minutes where the minute has too few events. */
export const LIMITS = {
  /** Mean time of a submit of the checkout. */
  checkoutSeconds: 1,
  /** 95th percentile of all pages over 5 minutes. */
  pageSeconds: 0.5,
  /** Mean time of a request that is spent in the shop's own code. */
  codeSeconds: 0.1,
  /** Mean time of one operation of the database. */
  operationSeconds: 0.1,
  /** Mean time of the phase `payment`. The shop waits 1 s for the provider at most. */
  paymentSeconds: 0.5,
  /** Part of the payments that fail. */
  failedPayments: 0.5,
  /** Delay of a worker's event loop: the median of the p99 of the last 10 seconds. */
  lagSeconds: 0.25,
  /** Age of a worker's last written metrics. */
  silenceSeconds: 3,
  /** Growth of a worker's heap in 5 minutes. Between two collections of garbage it grows by some 15 MB. */
  heapGrowthBytes: 30_000_000,
  /** Age of the catalogue. */
  catalogueSeconds: 10,
  /** Busy part of the machine's cores. */
  machineCpu: 0.9,
  /** Part of the machine's cores that other programs use. */
  othersCpu: 0.5,
  /** Busy part of a worker's core. */
  workerCpu: 0.9,
  /** Of the workers. A page takes 1 to 3 ms. */
  cpuSecondsPerRequest: 0.02,
  /** Part of the database server's connections in use. */
  connections: 0.9,
  /** Part of the pages that end in an error of the shop, over 5 minutes. */
  errors: 0.01,
  /** Visits in 5 minutes, and their part of all requests for pages, that make a burst. */
  visitsWithoutCookie: 100,
  shareWithoutCookie: 0.5,
} as const;

interface RuleText {
  /** The state now, with the numbers compared: `{seconds:seconds}`, `{people?pessoa|pessoas}`, `{blame}`. */
  readonly is: Readonly<Record<Language, string>>;
  /** When the rule lights. The names of {@link LIMITS} stand for their values. */
  readonly when: Readonly<Record<Language, string>>;
}

export const RULES = {
  well: {
    is: {
      pt: 'Tudo bem: {people:count} {people?pessoa|pessoas} na loja, páginas em {seconds:seconds}',
      en: 'All is well: {people:count} {people?person|people} in the shop, pages in {seconds:seconds}',
    },
    when: {
      pt: 'Nenhuma das quatro lâmpadas está acesa. O tempo é a mediana das páginas nos últimos 5 minutos.',
      en: 'None of the four lamps is lit. The time is the median of the pages over the last 5 minutes.',
    },
  },
  quiet: {
    is: {
      pt: 'Tudo bem: a loja está aberta e ninguém pediu páginas nos últimos 5 minutos',
      en: 'All is well: the shop is open, and no page was asked for in the last 5 minutes',
    },
    when: {
      pt: 'Nenhuma lâmpada está acesa e nenhuma página foi pedida nos últimos 5 minutos.',
      en: 'No lamp is lit, and no page was asked for in the last 5 minutes.',
    },
  },
  starting: {
    is: { pt: 'A loja está abrindo', en: 'The shop is opening' },
    when: {
      pt: 'Os workers estão iniciando, e nenhum deles atende ainda.',
      en: 'The workers are starting, and none of them serves yet.',
    },
  },
  not_serving: {
    is: { pt: 'A loja está fora do ar: nenhum worker atende', en: 'The shop is down: no worker serves' },
    when: {
      pt: 'Nenhum worker está no estado “serving”.',
      en: 'No worker is in the state “serving”.',
    },
  },
  checkout_slow: {
    is: {
      pt: 'A finalização trava: {seconds:seconds}, {share:percent} {blame}',
      en: 'The checkout hangs: {seconds:seconds}, {share:percent} {blame}',
    },
    when: {
      pt: 'Um envio da finalização leva em média mais de {checkoutSeconds:seconds}, com 3 envios ou mais.',
      en: 'A submit of the checkout takes more than {checkoutSeconds:seconds} on average, of 3 submits or more.',
    },
  },
  pages_slow: {
    is: {
      pt: 'As páginas estão lentas: 5% levam mais de {seconds:seconds}; a mais lenta é {blame}',
      en: 'Pages are slow: 5% take longer than {seconds:seconds}; the slowest is {blame}',
    },
    when: {
      pt: 'O p95 de todas as páginas passa de {pageSeconds:seconds} nos últimos 5 minutos, com 20 páginas ou mais.',
      en: 'The p95 of all pages is above {pageSeconds:seconds} over the last 5 minutes, of 20 pages or more.',
    },
  },
  server_errors: {
    is: {
      pt: '{share:percent} das páginas terminam em erro; a maior parte em {blame}',
      en: '{share:percent} of the pages end in an error, most of them at {blame}',
    },
    when: {
      pt: 'Mais de {errors:percent} das páginas terminam em erro 5xx nos últimos 5 minutos, de 20 páginas ou mais, e alguma no último minuto.',
      en: 'More than {errors:percent} of the pages end in a 5xx error over the last 5 minutes, of 20 pages or more, and some in the last minute.',
    },
  },
  db_down: {
    is: { pt: 'O banco de dados não responde', en: 'The database does not answer' },
    when: { pt: 'shop_db_up é 0.', en: 'shop_db_up is 0.' },
  },
  db_disk_full: {
    is: { pt: 'O disco do banco de dados está cheio', en: 'The disk of the database is full' },
    when: { pt: 'shop_db_disk_full é 1.', en: 'shop_db_disk_full is 1.' },
  },
  db_slow: {
    is: {
      pt: 'O banco está lento: {blame} leva {seconds:seconds} em média',
      en: 'The database is slow: {blame} takes {seconds:seconds} on average',
    },
    when: {
      pt: 'Uma operação leva em média mais de {operationSeconds:seconds}, sem contar o que o atraso do event loop explica.',
      en: 'An operation takes more than {operationSeconds:seconds} on average, beyond what the delay of the event loop explains.',
    },
  },
  db_pool: {
    is: {
      pt: '{pending:count} {pending?requisição espera|requisições esperam} por uma conexão com o banco',
      en: '{pending:count} {pending?request waits|requests wait} for a connection to the database',
    },
    when: {
      pt: 'Há requisições à espera de uma conexão há 5 segundos, e as operações são rápidas.',
      en: 'Requests have waited for a connection for 5 seconds, and the operations are quick.',
    },
  },
  db_errors: {
    is: {
      pt: '{errors:count} {errors?página falhou|páginas falharam} no banco de dados em um minuto',
      en: '{errors:count} {errors?page|pages} failed at the database in a minute',
    },
    when: {
      pt: 'Houve 3 ou mais erros do tipo “database” no último minuto.',
      en: 'There were 3 or more errors of the type “database” in the last minute.',
    },
  },
  db_connections: {
    is: {
      pt: 'O PostgreSQL tem {connections:count} de {max:count} conexões em uso',
      en: '{connections:count} of PostgreSQL’s {max:count} connections are in use',
    },
    when: {
      pt: 'Mais de {connections:percent} das conexões do servidor estão em uso.',
      en: 'More than {connections:percent} of the server’s connections are in use.',
    },
  },
  db_catalogue: {
    is: {
      pt: 'O catálogo foi comparado com o banco há {seconds:age}',
      en: 'The catalogue was last compared with the database {seconds:age} ago',
    },
    when: {
      pt: 'O catálogo de um worker tem mais de {catalogueSeconds:seconds}.',
      en: 'The catalogue of a worker is older than {catalogueSeconds:seconds}.',
    },
  },
  payment_slow: {
    is: {
      pt: 'O provedor de pagamento leva {seconds:seconds} em média',
      en: 'The payment provider takes {seconds:seconds} on average',
    },
    when: {
      pt: 'A fase “payment” leva em média mais de {paymentSeconds:seconds}, e não por causa do banco nem do event loop.',
      en: 'The phase “payment” takes more than {paymentSeconds:seconds} on average, and neither the database nor the event loop is why.',
    },
  },
  payment_failing: {
    is: {
      pt: '{share:percent} dos pagamentos falham',
      en: '{share:percent} of the payments fail',
    },
    when: {
      pt: 'Mais de {failedPayments:percent} dos pagamentos, e 3 ou mais, terminaram em “failed”, com o banco em ordem.',
      en: 'More than {failedPayments:percent} of the payments, and 3 or more, ended as “failed” while the database is well.',
    },
  },
  payment_unsettled: {
    is: {
      pt: '{payments:count} {payments?pagamento espera|pagamentos esperam} por um desfecho',
      en: '{payments:count} {payments?payment is|payments are} unsettled',
    },
    when: {
      pt: 'shop_payments_unsettled está acima de 0 há 30 segundos, com o banco em ordem.',
      en: 'shop_payments_unsettled has been above 0 for 30 seconds while the database is well.',
    },
  },
  code_blocked: {
    is: {
      pt: 'O código bloqueia o event loop do worker {blame}: {seconds:seconds}',
      en: 'Code blocks the event loop of worker {blame}: {seconds:seconds}',
    },
    when: {
      pt: 'As métricas de um worker tinham mais de {silenceSeconds:seconds} nos últimos 10 segundos, ou o atraso do event loop (p99) passa de {lagSeconds:seconds} por 10 segundos, e não falta CPU. Nenhum worker foi morto por travar nos últimos 5 minutos.',
      en: 'The metrics of a worker were older than {silenceSeconds:seconds} in the last 10 seconds, or the event loop’s delay (p99) stays above {lagSeconds:seconds} for 10 seconds, and there is CPU left. No worker was killed for hanging in the last 5 minutes.',
    },
  },
  code_slow: {
    is: {
      pt: 'O código da loja gasta {seconds:seconds} por requisição em {blame}',
      en: 'The shop’s own code takes {seconds:seconds} per request at {blame}',
    },
    when: {
      pt: 'O tempo “app” de uma rota passa de {codeSeconds:seconds} por requisição em média, e não falta CPU.',
      en: 'The time “app” of a route is above {codeSeconds:seconds} per request on average, and there is CPU left.',
    },
  },
  code_errors: {
    is: {
      pt: '{errors:count} {errors?erro interno|erros internos} em 5 minutos, em {blame}',
      en: '{errors:count} internal {errors?error|errors} in 5 minutes, at {blame}',
    },
    when: {
      pt: 'Houve erros do tipo “internal” nos últimos 5 minutos.',
      en: 'There were errors of the type “internal” in the last 5 minutes.',
    },
  },
  code_crash: {
    is: {
      pt: '{crashes:count} {crashes?worker caiu|workers caíram} em 5 minutos ({blame})',
      en: '{crashes:count} {crashes?worker|workers} crashed in 5 minutes ({blame})',
    },
    when: {
      pt: 'Um worker caiu nos últimos 5 minutos, pelo motivo exception, out_of_memory, hang ou failed_start.',
      en: 'A worker crashed in the last 5 minutes with the reason exception, out_of_memory, hang or failed_start.',
    },
  },
  code_memory: {
    is: {
      pt: 'A memória do worker {blame} cresce: {bytes:bytes} em 5 minutos',
      en: 'The memory of worker {blame} grows: {bytes:bytes} in 5 minutes',
    },
    when: {
      pt: 'O heap de um worker tem {heapGrowthBytes:bytes} a mais do que o menor valor dos últimos 5 minutos, sem contar seu primeiro minuto.',
      en: 'The heap of a worker is {heapGrowthBytes:bytes} larger than its least of the last 5 minutes, its first minute left out.',
    },
  },
  machine_cpu: {
    is: {
      pt: 'Falta CPU: a máquina está {cpu:percent} ocupada, {others:percent} ou mais por outros programas; o event loop atrasa {seconds:seconds}',
      en: 'There is too little CPU: the machine is {cpu:percent} busy, {others:percent} or more with other programs; the event loop is {seconds:seconds} late',
    },
    when: {
      pt: 'Mais de {machineCpu:percent} dos núcleos estão ocupados, e outros programas usam mais de {othersCpu:percent} ou o event loop de um worker atrasa mais de {lagSeconds:seconds}.',
      en: 'More than {machineCpu:percent} of the cores are busy, and other programs use more than {othersCpu:percent} or the event loop of a worker is more than {lagSeconds:seconds} late.',
    },
  },
  machine_load: {
    is: {
      pt: 'A loja recebe mais do que consegue atender: {errors:count} {errors?requisição recusada|requisições recusadas} em um minuto',
      en: 'The shop gets more than it can serve: {errors:count} {errors?request|requests} refused in a minute',
    },
    when: {
      pt: 'Houve 3 ou mais erros do tipo “overload” no último minuto, sem contar os pagamentos que falharam, e nenhuma outra lâmpada os explica.',
      en: 'There were 3 or more errors of the type “overload” in the last minute, failed payments left out, and no other lamp explains them.',
    },
  },
  machine_killed: {
    is: {
      pt: '{killed:count} {killed?worker foi morto|workers foram mortos} por um sinal em 5 minutos',
      en: '{killed:count} {killed?worker was|workers were} killed by a signal in 5 minutes',
    },
    when: {
      pt: 'Um sinal encerrou um worker nos últimos 5 minutos: enviado por uma pessoa, ou pelo sistema por falta de memória.',
      en: 'A signal ended a worker in the last 5 minutes: sent by a person, or by the system when memory ran out.',
    },
  },
  machine_workers: {
    is: {
      pt: '{down:count} {down?lugar está|lugares estão} sem worker',
      en: '{down:count} {down?place has|places have} no worker',
    },
    when: { pt: 'Um lugar está no estado “down”.', en: 'A place is in the state “down”.' },
  },
  stale: {
    is: {
      pt: 'Sem notícias da loja: os números têm {seconds:age}',
      en: 'No news from the shop: the numbers are {seconds:age} old',
    },
    when: {
      pt: 'O primário não lê as métricas há mais de 5 segundos.',
      en: 'The primary has not read the metrics for more than 5 seconds.',
    },
  },
} as const satisfies Record<string, RuleText>;
export type RuleName = keyof typeof RULES;

/** The sentence of a verdict or a lamp. A rule that has no text is named. */
export function sentence(
  { rule, numbers, blame }: { rule: string; numbers: Readonly<Record<string, number>>; blame: string },
  language: Language,
): string {
  const text = isRule(rule) ? RULES[rule].is[language] : rule;
  return fill(text, numbers, language, blame);
}

/** When a rule lights its lamp, with the limits. */
export function condition(rule: RuleName, language: Language): string {
  return fill(RULES[rule].when[language], LIMITS, language);
}

export function isRule(name: string): name is RuleName {
  return Object.hasOwn(RULES, name);
}

function fill(text: string, numbers: Readonly<Record<string, number>>, language: Language, blame = ''): string {
  return text.replace(/\{(\w+)(?::(\w+)|\?([^|}]*)\|([^}]*))?\}/g, (_, name, format, one, many) => {
    if (name === 'blame') return blamed(blame, language);
    const value = numbers[name];
    if (one !== undefined) return value === 1 ? one : many;
    return formatNumber(value, format as Format, language);
  });
}

/** Where the time of a checkout goes; everything else is named in the metrics' own words. */
function blamed(blame: string, language: Language): string {
  return Object.hasOwn(PARTS, blame) ? PARTS[blame as keyof typeof PARTS][language] : blame;
}

const PARTS = {
  app: { pt: 'no código da loja', en: 'in the shop’s own code' },
  db: { pt: 'no banco de dados', en: 'in the database' },
  db_wait: { pt: 'à espera de uma conexão com o banco', en: 'waiting for a connection to the database' },
  payment: { pt: 'no provedor de pagamento', en: 'at the payment provider' },
} as const;
