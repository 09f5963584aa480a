/** An error as a log line shows it. */
export interface ErrorDescription {
  /** Name of its class. */
  type: string;
  /** Its message and the messages of its causes. */
  message: string;
  /** The first code that it or a cause has: a system error's, or PostgreSQL's SQLSTATE. */
  code?: unknown;
  /** Its stack and the stacks of its causes. */
  stack: string;
}

/** Limit of the errors in one description: a chain of causes may be long, or lead back to itself. */
const MOST_ERRORS = 10;
/** Characters of each message or stack. */
const LONGEST_TEXT = 10_000;

/**
 * Describes an error and the errors that caused it, without the fields in which PostgreSQL quotes whole rows. Never
 * throws.
 *
 * @param error any thrown value
 */
export function describeError(error: unknown): ErrorDescription {
  try {
    return describe(error);
  } catch {
    // A getter or a Proxy can throw at any look.
    return { type: 'unknown', message: 'an error that cannot be read', stack: '' };
  }
}

function describe(error: unknown): ErrorDescription {
  const errors = withCauses(error);
  const code = errors.map((one) => (one instanceof Error && 'code' in one ? one.code : undefined)).find(isCode);
  return {
    type: error instanceof Error ? error.constructor.name : typeof error,
    message: errors.map(messageOf).join(': '),
    ...(code !== undefined && { code }),
    stack: errors.map(stackOf).join('\ncaused by: '),
  };
}

/** An error and its causes: each once, and not too many. */
function withCauses(error: unknown): unknown[] {
  const found = new Set<unknown>();
  const open = [error];
  while (open.length > 0 && found.size < MOST_ERRORS) {
    const next = open.pop();
    found.add(next);
    if (!(next instanceof Error)) continue;
    const causes = [next.cause, ...(isAggregate(next) ? next.errors.slice(0, MOST_ERRORS) : [])];
    open.push(...causes.filter((cause) => cause !== undefined && !found.has(cause)).reverse());
  }
  return [...found];
}

function isAggregate(error: Error): error is AggregateError {
  return error instanceof AggregateError && Array.isArray(error.errors);
}

function isCode(code: unknown): boolean {
  return typeof code === 'string' || typeof code === 'number';
}

function messageOf(error: unknown): string {
  return textOf(error instanceof Error ? error.message : error);
}

function stackOf(error: unknown): string {
  return textOf(error instanceof Error ? (error.stack ?? error.message) : error);
}

function textOf(value: unknown): string {
  try {
    return String(value).slice(0, LONGEST_TEXT);
  } catch {
    return 'a value that cannot be shown as text';
  }
}
