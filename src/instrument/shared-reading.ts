import type { Knex } from 'knex';
import { named } from '../db/named.ts';

const TABLE = 'gauge_readings';

/** A reading this fresh is not taken again: with a look twice a second, one instance takes each. */
const FRESH_MS = 400;

/** A reading of the database that all instances share, see `gauge_readings`. */
export interface SharedReading<Reading> {
  readonly reading: Reading;
  /** By the database's clock, the only one that all instances have in common. */
  readonly ageMs: number;
}

export function isFresh({ ageMs }: SharedReading<unknown>): boolean {
  return ageMs < FRESH_MS;
}

/** The latest reading of any instance; null when there is none. */
export async function findReading<Reading>(database: Knex, name: string): Promise<SharedReading<Reading> | null> {
  const row: SharedReading<Reading> | undefined = await database(TABLE)
    .where({ name })
    .first('reading', {
      ageMs: database.raw('(extract(epoch from clock_timestamp() - taken_at) * 1000)::double precision'),
    });
  // One from the future is of before the database's clock was set back.
  return row && row.ageMs >= 0 ? row : null;
}

/**
 * Takes a reading anew for all instances, unless another instance is taking it, or just has. So the database pays for
 * one instance, however many there are.
 *
 * @param take reads, in a transaction that no other instance's `take` of this name runs beside
 * @returns null when it is for another instance to take
 */
export async function takeReading<Reading>(
  database: Knex,
  name: string,
  take: (transaction: Knex.Transaction) => Promise<Reading>,
): Promise<SharedReading<Reading> | null> {
  return database.transaction(async (transaction) => {
    if (!(await claim(transaction, name))) return null;
    const reading = await take(transaction);
    await transaction(TABLE)
      .where({ name })
      .update({ reading: JSON.stringify(reading), taken_at: transaction.raw('clock_timestamp()') });
    return { reading, ageMs: 0 };
  });
}

/** Takes hold of the row until the transaction ends, if no other instance has it. The first one makes it. */
async function claim(transaction: Knex.Transaction, name: string): Promise<boolean> {
  const { rows } = await named(
    transaction.raw<{ rows: unknown[] }>(
      `select from ${TABLE} where name = :name and (taken_at < clock_timestamp() - make_interval(secs => :fresh)
         or taken_at > clock_timestamp())
       for update skip locked`,
      { name, fresh: FRESH_MS / 1000 },
    ),
    'select',
    TABLE,
  );
  if (rows.length > 0) return true;
  // No row to take: it is another's, or it is not there, as after a crash of PostgreSQL.
  const made = await transaction(TABLE)
    .insert({ name, reading: '{}', taken_at: transaction.raw('clock_timestamp()') })
    .onConflict('name')
    .ignore()
    .returning('name');
  return made.length > 0;
}
