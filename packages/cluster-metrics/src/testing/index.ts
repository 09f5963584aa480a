export { type Exposition, type Labels, parseExposition } from './exposition.ts';
export { type Exemplar, ExpositionError, type Sample } from './parser.ts';
