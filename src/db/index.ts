export { applicationName, PRIMARY } from './application-name.ts';
export { type BatchLimits, batchStatements, type StoreWithOthers } from './batch.ts';
export { startCleanup } from './cleanup.ts';
export { acquireMs, type ConnectOptions, connect, safeInteger } from './connect.ts';
export { FolderInUseError } from './embedded/claim.ts';
export { type EmbeddedPostgres, findRunningPostgres, startEmbeddedPostgres } from './embedded/index.ts';
export {
  isDatabaseFailure,
  isDiskFull,
  isEndOfPool,
  isLockTimeout,
  isOutage,
  isUnanswered,
  noteConnectionFailure,
} from './failures.ts';
export { prepareDatabase } from './prepare.ts';
export { askWritable } from './server.ts';
