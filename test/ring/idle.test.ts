import { describe, expect, test } from 'vitest';
import { DOORBELL_BYTES, Doorbell } from '../../src/ring/doorbell.ts';
import { defaultSpins, IdleStrategy } from '../../src/ring/idle.ts';

/** A doorbell that writes down how long it was asked to sleep, and does not sleep. */
class RecordingDoorbell extends Doorbell {
  readonly slept: number[] = [];

  constructor() {
    super(new SharedArrayBuffer(DOORBELL_BYTES), 0);
  }

  override sleep(timeoutMs: number, _ready: () => boolean): boolean {
    this.slept.push(timeoutMs);
    return true;
  }
}

function strategy(options: { spins?: number; maxSleepMs?: number } = {}) {
  const doorbell = new RecordingDoorbell();
  const idle = new IdleStrategy(doorbell, { spins: 0, maxSleepMs: 100, ...options });
  /** Runs turns that did so much work each, and returns the sleeps they led to. */
  const turns = (work: readonly number[], sleepMs = 50) => {
    for (const done of work) idle.idle(done, () => false, sleepMs);
    return doorbell.slept.splice(0);
  };
  return { turns };
}

describe('the idle strategy', () => {
  test.each([
    { spins: 0, work: [0, 0], sleeps: 2 },
    { spins: 0, work: [1, 2, 1], sleeps: 0 },
    { spins: 3, work: [0, 0, 0], sleeps: 0 },
    { spins: 3, work: [0, 0, 0, 0, 0], sleeps: 2 },
    { spins: 3, work: [0, 0, 1, 0, 0, 0], sleeps: 0 },
    { spins: 3, work: [0, 0, 0, 0, 1, 0, 0, 0, 0], sleeps: 2 },
  ])('with $spins spins, turns that did $work sleep $sleeps times', ({ spins, work, sleeps }) => {
    expect(strategy({ spins }).turns(work).length).toBe(sleeps);
  });

  test.each([
    { sleepMs: 50, sleeps: [50] },
    { sleepMs: 500, sleeps: [100] },
    { sleepMs: Number.POSITIVE_INFINITY, sleeps: [100] },
    { sleepMs: 0.5, sleeps: [0.5] },
    { sleepMs: 0, sleeps: [] },
    { sleepMs: -3, sleeps: [] },
  ])('with at most 100 ms, asked for $sleepMs ms, it sleeps $sleeps', ({ sleepMs, sleeps }) => {
    expect(strategy({ maxSleepMs: 100 }).turns([0], sleepMs)).toEqual(sleeps);
  });

  test('passes the look at the rings on to the doorbell', () => {
    const idle = new IdleStrategy(new Doorbell(new SharedArrayBuffer(DOORBELL_BYTES), 0), {
      spins: 0,
      maxSleepMs: 600_000,
    });
    let looks = 0;
    const ready = () => ++looks > 0;
    idle.idle(0, ready, 600_000);
    expect(looks).toBe(1);
  });

  test.each([
    { cores: 2, threads: 3, spins: false },
    { cores: 1, threads: 2, spins: false },
    { cores: 2, threads: 2, spins: false },
    { cores: 8, threads: 3, spins: true },
  ])('with $cores cores and $threads threads, spinning by default is $spins', ({ cores, threads, spins }) => {
    expect(defaultSpins(cores, threads) > 0).toBe(spins);
  });
});
