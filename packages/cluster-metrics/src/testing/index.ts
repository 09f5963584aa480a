export { type Exposition, type Labels, parseExposition } from './exposition.ts';
export { ExpositionError, type Sample } from './parser.ts';
