export { applicationName, PRIMARY } from './application-name.ts';
export { type ConnectOptions, connect, type Deadlines } from './connect.ts';
export { FolderInUseError } from './embedded/claim.ts';
export { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/index.ts';
export { findRunningPostgres } from './embedded/running.ts';
export { keepHouse } from './housekeeping.ts';
export { named, type QueryLabels, queryLabels } from './named.ts';
export { prepareDatabase } from './prepare.ts';
export { askWritable } from './writable.ts';
