import type { AdmissionRules, RuleName } from '../admission/rules.ts';

/** The rules of admission that are in force, and where they come from. */
export interface RulesReport {
  readonly rules: AdmissionRules;
  readonly sources: Readonly<Record<RuleName, 'config file' | 'default'>>;
  /** Since when, ms since the epoch. */
  readonly sinceMs: number;
  /** The config file; null without one. */
  readonly file: string | null;
  /** Why what stands in the file now is not in force; empty where it is. */
  readonly problems: readonly string[];
}

/** What came of an order to read the config file again. */
export type ReloadOutcome =
  | { readonly report: RulesReport; readonly changed: readonly RuleName[] }
  /** Nothing has changed. */
  | { readonly problems: readonly string[] }
  | 'no file';

/** Where a front asks after the rules: the main thread keeps them. */
export interface RulesDesk {
  report(): Promise<RulesReport>;
  reload(): Promise<ReloadOutcome>;
}
