import { describe, expect, it } from 'vitest';
import { Rest } from '../../src/front/rest.ts';

const MB = 2 ** 20;

/** A thread whose heap goes down to `restingMb` when it gives back; what it does is noted. */
class FakeThread {
  heapMb = 40;
  restingMb = 20;
  share = 0;
  gaveBack = 0;

  busyShare(): number {
    return this.share;
  }

  heapBytes(): number {
    return this.heapMb * MB;
  }

  giveBack(): void {
    this.gaveBack += 1;
    this.heapMb = this.restingMb;
  }
}

function started() {
  const thread = new FakeThread();
  const rest = new Rest(thread);
  let nowMs = 0;
  const pass = (ms: number): void => {
    for (const until = nowMs + ms; nowMs < until; nowMs += 20) rest.look(nowMs);
  };
  // It has come to rest once, so that its size at rest is known.
  pass(2000);
  return { thread, pass };
}

describe('a front at rest', () => {
  it.each([
    { name: 'gives back what a crowd has left', grownMb: 60, shares: [0.9, 0], gaveBack: 1 },
    { name: 'waits while it is busy', grownMb: 60, shares: [0.9, 0.2, 0.5], gaveBack: 0 },
    {
      name: 'takes a moment between two bursts for no rest',
      grownMb: 60,
      shares: [0.9, 0, 0.9],
      ms: 500,
      gaveBack: 0,
    },
    { name: 'lets a heap be that has hardly grown', grownMb: 7, shares: [0.9, 0], gaveBack: 0 },
    { name: 'lets a heap be that has not grown', grownMb: 0, shares: [0, 0], gaveBack: 0 },
  ])('$name', ({ grownMb, shares, ms = 2000, gaveBack }) => {
    const { thread, pass } = started();
    expect(thread.gaveBack).toBe(0);
    thread.heapMb += grownMb;
    for (const share of shares) {
      thread.share = share;
      pass(ms);
    }
    expect(thread.gaveBack).toBe(gaveBack);
  });

  it('gives back after each crowd, and does not try again what did not help', () => {
    const { thread, pass } = started();
    for (let crowd = 1; crowd <= 3; crowd++) {
      thread.heapMb = 100;
      pass(20_000);
      expect(thread.gaveBack).toBe(crowd);
    }
    // What it has is in use.
    thread.restingMb = 100;
    thread.heapMb = 100;
    pass(60_000);
    expect(thread.gaveBack).toBe(4);
  });

  it('is not held up over and over by clients that come and go', () => {
    const { thread, pass } = started();
    for (let crowd = 1; crowd <= 30; crowd++) {
      thread.heapMb = 100;
      pass(2000);
    }
    // In a minute.
    expect(thread.gaveBack).toBeGreaterThan(1);
    expect(thread.gaveBack).toBeLessThanOrEqual(5);
  });
});
