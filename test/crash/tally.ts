/** The promises that a run is judged by; the last two have no number in the design: the clock, and the process itself. */
export const INVARIANTS = ['I1', 'I2', 'I3', 'I4', 'I5', 'clock', 'process'] as const;
export type Invariant = (typeof INVARIANTS)[number];

export interface Violation {
  readonly invariant: Invariant;
  readonly what: string;
  /** Lines of the clients' logs that show it. */
  readonly log: readonly string[];
}

const MOST_KEPT = 20;

/** What a run counted. */
export class Tally {
  readonly violations: Violation[] = [];
  readonly byInvariant = Object.fromEntries(INVARIANTS.map((name) => [name, 0])) as Record<Invariant, number>;
  commands = 0;
  holds = 0;
  confirmed = 0;
  /** Commands that could change something, and whose answer never came. */
  unknown = 0;
  happened = 0;
  notHappened = 0;
  /** Commands without an answer of which either is still possible: they would have changed nothing, or nobody asked again. */
  undecided = 0;
  audits = 0;
  holdsAudited = 0;
  keysSentAgain = 0;

  violate(invariant: Invariant, what: string, log: readonly string[] = []): void {
    this.byInvariant[invariant]++;
    if (this.violations.length < MOST_KEPT) this.violations.push({ invariant, what, log });
  }

  get violated(): number {
    return Object.values(this.byInvariant).reduce((sum, count) => sum + count, 0);
  }
}
