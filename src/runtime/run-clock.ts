import { readFileSync } from 'node:fs';
import { anchorClock, type ClockAnchor } from '../base/clock.ts';
import type { RunClock } from '../storage/store.ts';

/**
 * The clock of a server that carries on from a store. Within one boot of the machine it is the clock of the run before, so that a
 * jump of the wall clock, or a restart, moves no deadline. After a boot, or on another machine, only the wall clock tells how much
 * time has passed; it is believed, but never taken back behind the last event.
 */
export function carryOnClock(
  lastRun: RunClock | undefined,
  lastEventMs: number,
  bootId: string,
): ClockAnchor {
  const now = anchorClock();
  const sameBoot = lastRun !== undefined && lastRun.bootId === bootId;
  const wallMs = sameBoot ? now.monotonicMs + lastRun.offsetMs : now.wallMs;
  return { wallMs: Math.max(wallMs, lastEventMs), monotonicMs: now.monotonicMs };
}

export function runClockOf(anchor: ClockAnchor, bootId: string): RunClock {
  return { bootId, offsetMs: anchor.wallMs - anchor.monotonicMs };
}

/** Different after every start of the machine; a random one where the kernel does not tell. */
export function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return crypto.randomUUID();
  }
}
