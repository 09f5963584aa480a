import { createShopper, type Shopper } from './journey.ts';
import { createReport, formatReport, type SummaryData } from './report.ts';
import type { Settings } from './settings.ts';
import { createShop, Leaves, type Opening } from './shop.ts';

export interface ScriptOptions {
  /** For the summary. */
  readonly name: string;
  readonly settings: Settings;
  /** Whether the shop may refuse with 503. */
  readonly isOverload: boolean;
  /** What one shopper does. */
  play(shopper: Shopper): void;
}

/** What a script exports to k6, but for its options. Made once, in the init context. */
export function createScript({ name, settings, isOverload, play }: ScriptOptions) {
  const shop = createShop({ settings, isOverload });
  return {
    setup: () => shop.openBooks(),
    run(opening: Opening): void {
      try {
        play(createShopper(shop, opening));
      } catch (error) {
        // The answer that made the shopper leave is in k6's own numbers.
        if (!(error instanceof Leaves)) throw error;
      }
    },
    teardown: (opening: Opening) => shop.closeBooks(opening),
    /** A table for the terminal, and the same as JSON. */
    handleSummary(data: SummaryData): Record<string, string> {
      const report = createReport(name, data, settings.account);
      const { summaryFile } = settings;
      return {
        stdout: formatReport(report),
        ...(summaryFile !== '' && { [summaryFile]: `${JSON.stringify(report, null, 2)}\n` }),
      };
    },
  };
}
