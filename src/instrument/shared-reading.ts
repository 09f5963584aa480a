import type { Knex } from 'knex';
import { labelQuery } from '../db/query-labels.ts';

const TABLE = 'gauge_readings';

/** What all instances read as one. */
export interface ReadingKind {
  /** Another one whenever the reading's shape changes: instances of two versions then do not take each other's readings. */
  readonly name: string;
  /** A reading this fresh is not taken again: all instances look for it regularly, and one of them takes it. */
  readonly freshMs: number;
}

/** A reading of the database that all instances share, see `gauge_readings`. */
export interface SharedReading<Reading> {
  readonly reading: Reading;
  /** By the database's clock, the only one that all instances have in common. */
  readonly ageMs: number;
}

export function isFresh({ ageMs }: SharedReading<unknown>, { freshMs }: ReadingKind): boolean {
  return ageMs < freshMs;
}

/** The latest reading of any instance; null when there is none. */
export async function findReading<Reading>(
  database: Knex,
  { name }: ReadingKind,
): Promise<SharedReading<Reading> | null> {
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
 * @param take reads, in a transaction; never at the same time as another instance's `take` of this name. It gets the
 *   reading before this one, or null when there is none.
 * @returns null when another instance takes it
 */
export async function takeReading<Reading>(
  database: Knex,
  kind: ReadingKind,
  take: (transaction: Knex.Transaction, before: Reading | null) => Promise<Reading>,
): Promise<SharedReading<Reading> | null> {
  const { name } = kind;
  return database.transaction(async (transaction) => {
    const claimed = await claim<Reading>(transaction, kind);
    if (!claimed) return null;
    const reading = await take(transaction, claimed.before);
    await transaction(TABLE)
      .where({ name })
      .update({ reading: JSON.stringify(reading), taken_at: transaction.raw('clock_timestamp()') });
    return { reading, ageMs: 0 };
  });
}

/**
 * Locks the row until the transaction ends, if no other instance has it. The first instance makes it.
 *
 * @returns the reading in it; null when another instance has it, or its reading is fresh
 */
async function claim<Reading>(
  transaction: Knex.Transaction,
  { name, freshMs }: ReadingKind,
): Promise<{ before: Reading | null } | null> {
  const { rows } = await labelQuery(
    transaction.raw<{ rows: { before: Reading }[] }>(
      `select reading as before from ${TABLE}
       where name = :name and (taken_at < clock_timestamp() - make_interval(secs => :fresh) or taken_at > clock_timestamp())
       for update skip locked`,
      { name, fresh: freshMs / 1000 },
    ),
    'select',
    TABLE,
  );
  if (rows[0]) return rows[0];
  // No row to lock: another instance has it, or it does not exist, as after a crash of PostgreSQL.
  const made = await transaction(TABLE)
    .insert({ name, reading: '{}', taken_at: transaction.raw('clock_timestamp()') })
    .onConflict('name')
    .ignore()
    .returning('name');
  return made.length > 0 ? { before: null } : null;
}
