/** An exposition in the text format, or in OpenMetrics, taken apart. */
export interface Samples {
  readonly text: string;
  /** Value by line head, `name{labels}` as printed. */
  readonly values: ReadonlyMap<string, number>;
  /** The value of one line; NaN and a missing line are told apart by an error. */
  of(head: string): number;
  /** Sum of the lines whose head begins so. */
  sum(prefix: string): number;
  /** Heads of all lines that must never decrease: counters, buckets, sums, counts. */
  readonly monotone: readonly string[];
}

export function parse(text: string): Samples {
  const values = new Map<string, number>();
  const types = new Map<string, string>();
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type?.[1] && type[2]) types.set(type[1], type[2]);
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    const value = line.slice(space + 1);
    values.set(line.slice(0, space), /^nan$/i.test(value) ? Number.NaN : Number(value.replace('Inf', 'Infinity')));
  }
  return {
    text,
    values,
    of(head) {
      const value = values.get(head);
      if (value === undefined) throw new Error(`${head} is missing in\n${text}`);
      return value;
    },
    sum: (prefix) => [...values].reduce((sum, [head, value]) => (head.startsWith(prefix) ? sum + value : sum), 0),
    monotone: [...values.keys()].filter((head) => isMonotone(head, types)),
  };
}

function isMonotone(head: string, types: ReadonlyMap<string, string>): boolean {
  const name = head.replace(/\{.*/, '');
  const family = name.replace(/_(bucket|sum|count)$/, '');
  return (
    types.get(name) === 'counter' || (family !== name && ['histogram', 'summary'].includes(types.get(family) ?? ''))
  );
}

/** What went back, or went missing, from one scrape to the next. */
export function decreases(before: Samples, after: Samples): string[] {
  return before.monotone
    .filter((head) => !((after.values.get(head) ?? Number.NEGATIVE_INFINITY) >= before.of(head)))
    .map((head) => `${head}: ${before.of(head)}, then ${after.values.get(head)}`);
}
