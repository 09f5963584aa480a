/**
 * What can be wrong with a store file:
 * `foreign` no store of this instance; `torn` damaged or cut short; `unreadable` the system refuses to read it;
 * `vanished` removed while its worker lives; `conflict` a metric that has another shape elsewhere;
 * `unwritable` its worker could not write all of it.
 */
export const PROBLEM_KINDS = ['foreign', 'torn', 'unreadable', 'vanished', 'conflict', 'unwritable'] as const;
export type ProblemKind = (typeof PROBLEM_KINDS)[number];

export interface StoreProblem {
  readonly kind: ProblemKind;
  /** Path of the file. */
  readonly file: string;
  readonly message: string;
}

/** Tells each problem of each file once, not once per scrape. */
export class Problems {
  readonly #tell: (problem: StoreProblem) => void;
  readonly #told = new Map<string, Set<ProblemKind>>();

  constructor(tell: (problem: StoreProblem) => void) {
    this.#tell = tell;
  }

  report(problem: StoreProblem): void {
    let kinds = this.#told.get(problem.file);
    if (kinds === undefined) {
      kinds = new Set();
      this.#told.set(problem.file, kinds);
    }
    if (kinds.has(problem.kind)) return;
    kinds.add(problem.kind);
    this.#tell(problem);
  }

  /** Lets go of the files that are gone. */
  keepOnly(isKept: (file: string) => boolean): void {
    for (const file of this.#told.keys()) if (!isKept(file)) this.#told.delete(file);
  }
}
