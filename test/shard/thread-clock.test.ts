import { describe, expect, it } from 'vitest';
import { allocateStages, ThreadTime, threadTimes } from '../../src/shard/stage-memory.ts';
import { ThreadClock } from '../../src/shard/thread-clock.ts';

describe('the clock of a thread', () => {
  it('reads the CPU time from the kernel, after enough work to be worth it', () => {
    const memory = allocateStages(1, 1);
    const times = threadTimes(memory, 0);
    const clock = new ThreadClock(memory, 0);
    clock.busy(49);
    expect(times[ThreadTime.CPU]).toBe(0);
    const hourMs = 3_600_000;
    clock.busy(hourMs);
    const { user, system } = process.threadCpuUsage();
    expect(times[ThreadTime.BUSY]).toBe((hourMs + 49) * 1000);
    expect(times[ThreadTime.CPU]).toBeGreaterThan(0);
    expect(times[ThreadTime.CPU]).toBeLessThanOrEqual(user + system);
  });

  it('carries on the account of a thread that died', () => {
    const memory = allocateStages(1, 1);
    const times = threadTimes(memory, 0);
    times[ThreadTime.CPU] = 1e12;
    new ThreadClock(memory, 0).busy(50);
    expect(times[ThreadTime.CPU]).toBeGreaterThan(1e12);
  });
});
