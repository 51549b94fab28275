import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BreakerState, Breakers } from '../../src/admission/breakers.ts';
import type { BreakerRule } from '../../src/admission/rules.ts';

const RULE: BreakerRule = {
  slowMs: 250,
  slowShare: 0.3,
  errorShare: 0.2,
  openSlowMs: 5000,
  openErrorMs: 10_000,
  minimumSamples: 20,
  probes: 4,
};
const { CLOSED, OPEN, HALF_OPEN } = BreakerState;

/** Notes so many outcomes at a time: [commands, ms each took, whether they failed]. */
function noteAll(breakers: Breakers, at: number, nowMs: number, outcomes: [number, number, boolean][]): void {
  for (const [count, tookMs, failed] of outcomes) {
    for (let i = 0; i < count; i++) breakers.note(at, tookMs, failed, false, nowMs);
  }
}

/** A breaker that was opened at 1,000 ms by failures, until 11,000 ms. */
function opened(): Breakers {
  const breakers = new Breakers(1, RULE);
  noteAll(breakers, 0, 1000, [[20, 1, true]]);
  return breakers;
}

describe('a breaker that is closed', () => {
  it.each<[string, [number, number, boolean][], number, number]>([
    ['too few commands say nothing, however bad', [[19, 1000, true]], CLOSED, 0],
    [
      'a fifth that failed open it for 10 s',
      [
        [16, 1, false],
        [4, 1, true],
      ],
      OPEN,
      10_000,
    ],
    [
      'fewer do not',
      [
        [97, 1, false],
        [20, 1, true],
      ],
      CLOSED,
      0,
    ],
    [
      'three tenths that were slow open it for 5 s',
      [
        [14, 1, false],
        [6, 251, false],
      ],
      OPEN,
      5000,
    ],
    [
      'fewer do not',
      [
        [75, 1, false],
        [30, 251, false],
      ],
      CLOSED,
      0,
    ],
    ['just as long as allowed is not slow', [[40, 250, false]], CLOSED, 0],
    [
      'what failed slowly counts as failed',
      [
        [14, 1, false],
        [6, 1000, true],
      ],
      OPEN,
      10_000,
    ],
  ])('%s', (_, outcomes, state, restMs) => {
    const breakers = new Breakers(1, RULE);
    noteAll(breakers, 0, 1000, outcomes);
    expect(breakers.states[0]).toBe(state);
    expect(breakers.tripped).toBe(state === CLOSED ? 0 : 1);
    expect(breakers.admits(0, 1000)).toBe(state === CLOSED);
    if (state === OPEN) expect(breakers.retryMs(0, 1000)).toBe(restMs);
  });

  it('forgets what is more than ten seconds old', () => {
    const breakers = new Breakers(1, RULE);
    noteAll(breakers, 0, 1000, [[19, 1, true]]);
    noteAll(breakers, 0, 11_500, [[20, 1, false]]);
    expect(breakers.states[0]).toBe(CLOSED);
    noteAll(breakers, 0, 11_500, [[5, 1, true]]);
    expect(breakers.states[0]).toBe(OPEN);
  });

  it('goes by new bounds when the rules change', () => {
    const breakers = new Breakers(1, RULE);
    noteAll(breakers, 0, 1000, [[40, 100, false]]);
    breakers.change({ ...RULE, slowMs: 50 });
    noteAll(breakers, 0, 1000, [[20, 100, false]]);
    expect(breakers.states[0]).toBe(OPEN);
  });
});

describe('a breaker that was opened', () => {
  it('lets nothing through before its rest is over, and says when that is', () => {
    const breakers = opened();
    expect([breakers.admits(0, 10_999), breakers.retryMs(0, 10_999)]).toEqual([false, 1]);
    expect(breakers.admits(0, 11_000)).toBe(true);
    expect(breakers.states[0]).toBe(HALF_OPEN);
  });

  it('takes no notice of what was under way when it opened', () => {
    const breakers = opened();
    noteAll(breakers, 0, 5000, [[1000, 1, false]]);
    expect(breakers.admits(0, 11_000)).toBe(true);
    noteAll(breakers, 0, 11_000, [[1000, 1, true]]);
    expect(breakers.states[0]).toBe(HALF_OPEN);
  });

  it('lets a bounded number of probes through', () => {
    const breakers = opened();
    const passed = Array.from({ length: 10 }, () => breakers.admits(0, 11_000) && breakers.take(0));
    expect(passed.filter(Boolean)).toHaveLength(RULE.probes);
    expect(breakers.retryMs(0, 11_000)).toBe(5000);
  });

  it('lets others through when no outcome of the probes comes', () => {
    const breakers = opened();
    while (breakers.admits(0, 11_000)) breakers.take(0);
    breakers.note(0, 1, false, true, 11_500);
    expect(breakers.admits(0, 15_999)).toBe(false);
    const passed = Array.from({ length: 10 }, () => breakers.admits(0, 16_000) && breakers.take(0));
    expect(passed.filter(Boolean)).toHaveLength(RULE.probes - 1);
  });

  it.each<[string, [number, boolean][], number, number]>([
    [
      'closes when all probes are well',
      [
        [1, false],
        [1, false],
        [1, false],
        [1, false],
      ],
      CLOSED,
      0,
    ],
    [
      'rests again when they fail',
      [
        [1, false],
        [1, false],
        [1, false],
        [1, true],
      ],
      OPEN,
      10_000,
    ],
    [
      'rests again when they are slow',
      [
        [1, false],
        [1, false],
        [300, false],
        [300, false],
      ],
      OPEN,
      5000,
    ],
    [
      'waits for the last one',
      [
        [1, true],
        [1, true],
        [1, true],
      ],
      HALF_OPEN,
      0,
    ],
  ])('%s', (_, outcomes, state, restMs) => {
    const breakers = opened();
    breakers.admits(0, 11_000);
    for (const [tookMs, failed] of outcomes) {
      expect(breakers.take(0)).toBe(true);
      breakers.note(0, tookMs, failed, true, 12_000);
    }
    expect(breakers.states[0]).toBe(state);
    expect(breakers.tripped).toBe(state === CLOSED ? 0 : 1);
    if (state === OPEN) expect(breakers.retryMs(0, 12_000)).toBe(restMs);
  });

  it('has a clean sheet when it has closed', () => {
    const breakers = opened();
    breakers.admits(0, 11_000);
    for (let i = 0; i < RULE.probes; i++) breakers.note(0, 1, false, true, 11_000);
    noteAll(breakers, 0, 11_000, [[19, 1, true]]);
    expect(breakers.states[0]).toBe(CLOSED);
  });
});

it('breakers of one row have nothing to do with each other', () => {
  const breakers = new Breakers(3, RULE);
  noteAll(breakers, 1, 1000, [[20, 1, true]]);
  expect([...breakers.states]).toEqual([CLOSED, OPEN, CLOSED]);
  expect([0, 1, 2].map((at) => breakers.admits(at, 1000))).toEqual([true, false, true]);
});

/** The same by lists: every outcome with its time, and nothing summed up ahead. */
class Model {
  state: number = CLOSED;
  probesOut = 0;
  private outcomes: { slot: number; slow: boolean; failed: boolean }[] = [];
  private untilMs = 0;

  admits(nowMs: number): boolean {
    if (this.state === CLOSED) return true;
    if (this.state === OPEN && nowMs < this.untilMs) return false;
    if (this.state === OPEN) this.outcomes = [];
    if (this.state === OPEN || nowMs >= this.untilMs) {
      this.probesOut = Math.max(1, RULE.probes - this.outcomes.length);
      this.untilMs = nowMs + RULE.openSlowMs;
    }
    this.state = HALF_OPEN;
    return this.probesOut > 0;
  }

  note(tookMs: number, failed: boolean, probe: boolean, nowMs: number): void {
    if (this.state === OPEN || (this.state === HALF_OPEN && !probe)) return;
    const now = Math.floor(nowMs / 1000);
    this.outcomes = this.outcomes.filter(({ slot }) => slot > now - 10);
    this.outcomes.push({ slot: now, slow: tookMs > RULE.slowMs, failed });
    const total = this.outcomes.length;
    if (total < (this.state === CLOSED ? RULE.minimumSamples : RULE.probes)) return;
    const errors = this.outcomes.filter((outcome) => outcome.failed).length;
    const slow = this.outcomes.filter((outcome) => outcome.slow).length;
    if (errors >= RULE.errorShare * total) [this.state, this.untilMs] = [OPEN, nowMs + RULE.openErrorMs];
    else if (slow >= RULE.slowShare * total) [this.state, this.untilMs] = [OPEN, nowMs + RULE.openSlowMs];
    else if (this.state === HALF_OPEN) [this.state, this.outcomes] = [CLOSED, []];
  }
}

it('behaves like a model that keeps every outcome, whatever comes when', () => {
  const step = fc.record({
    laterMs: fc.oneof(fc.nat(300), fc.nat(12_000)),
    commands: fc.integer({ min: 1, max: 12 }),
    tookMs: fc.constantFrom(1, 250, 251, 3000),
    failed: fc.boolean(),
    probe: fc.boolean(),
  });
  const run = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const breakers = new Breakers(2, RULE);
    const model = new Model();
    let nowMs = 0;
    for (const { laterMs, commands, tookMs, failed, probe } of steps) {
      nowMs += laterMs;
      const admitted = breakers.admits(1, nowMs);
      expect(admitted).toBe(model.admits(nowMs));
      if (admitted && breakers.take(1)) model.probesOut--;
      for (let i = 0; i < commands; i++) {
        breakers.note(1, tookMs, failed, probe, nowMs);
        model.note(tookMs, failed, probe, nowMs);
      }
      expect([breakers.states[1], breakers.tripped]).toEqual([model.state, model.state === CLOSED ? 0 : 1]);
    }
    expect(breakers.states[0]).toBe(CLOSED);
  });
  fc.assert(run, { numRuns: 300 });
});
