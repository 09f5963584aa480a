import type { Knex } from 'knex';
import * as catalogue from '../../seeds/index.ts';

/** All seeds in their order, by name. */
const seeds = new Map<string, Knex.Seed>([['catalogue', catalogue]]);

/** Gives Knex the seeds from the program itself, not from a folder. */
export const seedSource: Knex.SeedSource<string> = {
  async getSeeds() {
    return [...seeds.keys()];
  },
  async getSeed(name) {
    const seed = seeds.get(name);
    if (!seed) throw new Error(`There is no seed ${name}`);
    return seed;
  },
};
