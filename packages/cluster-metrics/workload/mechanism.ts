import * as prom from 'prom-client';
import * as ours from '../src/index.ts';

/** `successor` is `@prometheus-io/client`, prom-client's successor. */
export const MECHANISMS = ['stock', 'ours', 'successor'] as const;
export type Mechanism = (typeof MECHANISMS)[number];

/** The classes that all libraries have, with this package's types. */
export type Library = Pick<typeof ours, 'Counter' | 'Gauge' | 'Histogram' | 'Summary'>;
/** prom-client's registries, or the successor's. */
type Aggregators = Pick<typeof prom, 'Registry' | 'AggregatorRegistry'>;

export interface Loaded {
  library: Library;
  aggregators: Aggregators;
}

const SUCCESSOR = '@prometheus-io/client';

/** @returns `null` if it is not installed or does not run on this Node.js */
export async function load(mechanism: Mechanism): Promise<Loaded | null> {
  // The classes have the same options and methods; only their types differ.
  if (mechanism === 'ours') return { library: ours, aggregators: prom };
  if (mechanism === 'stock') return { library: prom as unknown as Library, aggregators: prom };
  if (Number(process.versions.node.split('.')[0]) < 22) return null;
  try {
    const successor: unknown = await import(SUCCESSOR);
    return { library: successor as Library, aggregators: successor as Aggregators };
  } catch {
    return null;
  }
}
