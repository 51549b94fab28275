/**
 * Time of the server: milliseconds since the epoch, whole, never going back. Monotonic and anchored to the wall clock
 * once, at start, so that a jump of the wall clock moves no deadline; every thread that is given the same anchor
 * tells the same time.
 */
export interface ClockAnchor {
  /** Wall clock at the anchor, ms since the epoch. */
  readonly wallMs: number;
  /** process.hrtime at the same instant, in ms; its origin is common to the threads of a process. */
  readonly monotonicMs: number;
}

export type Clock = () => number;

export function anchorClock(): ClockAnchor {
  return { wallMs: Date.now(), monotonicMs: monotonicMs() };
}

/** A clock for this thread. performance.now() is the cheap reading; hrtime is read at the start, to line the threads up. */
export function clockFrom(anchor: ClockAnchor): Clock {
  const offset = anchor.wallMs - anchor.monotonicMs + monotonicLeadMs();
  return () => Math.floor(performance.now() + offset);
}

/** The same instant for every thread of the process, in whole µs modulo 2^32, as an int32: for differences of up to half an hour. */
export function microClock(): Clock {
  const leadMs = monotonicLeadMs();
  return () => ((performance.now() + leadMs) * 1000) | 0;
}

/**
 * By how much hrtime is ahead of performance.now() in this thread. When the thread is put aside between the two
 * readings, the difference comes out too small, never too large; so the largest of several is the one to trust.
 */
function monotonicLeadMs(): number {
  let lead = monotonicMs() - performance.now();
  for (let i = 1; i < 8; i++) lead = Math.max(lead, monotonicMs() - performance.now());
  return lead;
}

export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
