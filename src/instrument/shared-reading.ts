import type { Knex } from 'knex';
import { labelQuery } from '../db/query-labels.ts';

const TABLE = 'gauge_readings';

/** A reading this fresh is not taken again: every instance looks twice a second, and one of them takes it. */
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
  // A reading from the future was taken before the database's clock was set back.
  return row && row.ageMs >= 0 ? row : null;
}

/**
 * Takes a new reading for all instances, unless another instance is taking it, or just has. So the database works for
 * one instance, however many there are.
 *
 * @param take reads, in a transaction; never at the same time as another instance's `take` of this name
 * @returns null when another instance takes it
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

/** Locks the row until the transaction ends, if no other instance has it. The first instance makes it. */
async function claim(transaction: Knex.Transaction, name: string): Promise<boolean> {
  const { rows } = await labelQuery(
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
  // No row to lock: another instance has it, or it does not exist, as after a crash of PostgreSQL.
  const made = await transaction(TABLE)
    .insert({ name, reading: '{}', taken_at: transaction.raw('clock_timestamp()') })
    .onConflict('name')
    .ignore()
    .returning('name');
  return made.length > 0;
}
