/**
 * Places at which a test has the process die, as by `kill -9`, and mistakes that a test builds in to see its judge find them. Both
 * are asked for by a variable of the environment; without it they cost a comparison, once for each group or snapshot.
 *
 *     HOLDFAST_FAILPOINT=append.after:17    dies at the 17th passage
 *     HOLDFAST_FAILPOINT=sync.error:17      fdatasync fails with EIO from the 17th on
 *     HOLDFAST_SLOW_SYNC_MS=10              fdatasync takes 10 ms longer, as on a slow disk
 *     HOLDFAST_FLAW=ack-before-sync         makes the mistake
 */
export const FAILPOINTS = [
  'append.before',
  'append.after',
  'sync.before',
  'sync.after',
  'acknowledge.before',
  'acknowledge.after',
  'snapshot.write',
  'snapshot.rename',
  'snapshot.verify',
  'trim.before',
  'trim.after',
] as const;
export type Failpoint = (typeof FAILPOINTS)[number];

/** Calls that fail in place of the process. */
export const FAULTS = ['sync.error'] as const;
export type Fault = (typeof FAULTS)[number];

export const FLAWS = ['ack-before-sync', 'skip-record', 'trim-early'] as const;
export type Flaw = (typeof FLAWS)[number];

const [chosen, passages] = (process.env.HOLDFAST_FAILPOINT ?? '').split(':');
const flaw = process.env.HOLDFAST_FLAW ?? '';
const slowSyncMs = Number(process.env.HOLDFAST_SLOW_SYNC_MS ?? 0);
const slept = new Int32Array(new SharedArrayBuffer(4));
let left = Number(passages ?? 1);

/** Dies here if this is the failpoint asked for. Counted in each thread for itself. */
export function failpoint(name: Failpoint): void {
  if (name !== chosen || --left > 0) return;
  process.kill(process.pid, 'SIGKILL');
  // The signal comes to the process, not to this thread: nothing more may happen here meanwhile.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** Whether the call that follows is to fail, from the passage asked for on. */
export function fails(name: Fault): boolean {
  return name === chosen && --left <= 0;
}

/** Has this thread wait as long as a slow disk would take longer, where that was asked for. */
export function dawdle(): void {
  if (slowSyncMs > 0) Atomics.wait(slept, 0, 0, slowSyncMs);
}

/** Whether a mistake is to be made. */
export function flawed(name: Flaw): boolean {
  return name === flaw;
}

/** What is planted, in words for a warning at the start; else undefined. */
export function planted(): string | undefined {
  if (slowSyncMs > 0) return `takes ${slowSyncMs} ms longer for every fdatasync`;
  if (chosen !== '') return `dies or fails at ${process.env.HOLDFAST_FAILPOINT}`;
  return flaw === '' ? undefined : `makes the mistake ${flaw} on purpose`;
}
