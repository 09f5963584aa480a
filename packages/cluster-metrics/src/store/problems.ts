/**
 * Problems of a store file:
 * `foreign` it is no store of this instance; `torn` it is damaged or cut short; `unreadable` the system refuses to read it;
 * `vanished` it was removed while its worker lives; `conflict` a metric in it has another shape in another process;
 * `unwritable` its worker could not write all of it.
 */
export const PROBLEM_KINDS = ['foreign', 'torn', 'unreadable', 'vanished', 'conflict', 'unwritable'] as const;
export type ProblemKind = (typeof PROBLEM_KINDS)[number];

export interface StoreProblem {
  readonly kind: ProblemKind;
  /** Path of the file, or of the folder. */
  readonly file: string;
  /** Of a conflict: the metric's name. */
  readonly metric?: string;
  readonly message: string;
}

/** Reports a problem of one file. @param metric of a conflict: its name */
export type Report = (kind: ProblemKind, message: string, metric?: string) => void;

/** Reports each kind of problem of each file once, not at every scrape; a conflict once for each metric. */
export class Problems {
  readonly #tell: (problem: StoreProblem) => void;
  readonly #told = new Map<string, Set<string>>();

  constructor(tell: (problem: StoreProblem) => void) {
    this.#tell = tell;
  }

  report(problem: StoreProblem): void {
    let kinds = this.#told.get(problem.file);
    if (kinds === undefined) {
      kinds = new Set();
      this.#told.set(problem.file, kinds);
    }
    const kind = `${problem.kind} ${problem.metric ?? ''}`;
    if (kinds.has(kind)) return;
    kinds.add(kind);
    this.#tell(problem);
  }

  /** Forgets the files that are gone. */
  keepOnly(isKept: (file: string) => boolean): void {
    for (const file of this.#told.keys()) if (!isKept(file)) this.#told.delete(file);
  }
}
