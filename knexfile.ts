import { commandLineConfig } from './src/db/command-line.ts';

/** Read by knex's command line: `npx knex migrate:status`. */
export default () => commandLineConfig(process.env);
