import type { ErrorDetails } from './errors.ts';
import type { Request } from './requests.ts';

/** Where a command is. */
export const Place = {
  /** In the queue, for the next frame or the next connection. */
  QUEUED: 0,
  /** Sent on the present connection. */
  SENT: 1,
  /** Answered BUSY; a timer will queue it again. */
  RESTING: 2,
} as const;

/** A command under way, from the call to its answer. */
export interface Flight<T = unknown> {
  readonly id: number;
  readonly request: Request<T>;
  readonly bytes: Uint8Array;
  /** Monotonic ms; after it, the caller is told TIMEOUT, or a late success is no longer worth undoing. */
  deadlineAt: number;
  place: number;
  /** When it was sent last, in monotonic ms. */
  sentAt: number;
  /** True when it was sent on a connection that is gone: whether it arrived is unknown. */
  uncertain: boolean;
  /** How often in a row the server was too busy for it. */
  busyCount: number;
  restTimer: ReturnType<typeof setTimeout> | undefined;
  /** True when the caller has had its answer or its error. */
  settled: boolean;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/** Whether the server may have carried the command out, as far as can be told without its answer. */
export function mayHaveHappened({ place, uncertain }: Flight): boolean {
  return uncertain || place === Place.SENT;
}

/** What a TIMEOUT means for this command, and what to do about it. */
export function timeoutText(flight: Flight, timeoutMs: number): string {
  const { what, late, repeatable } = flight.request;
  const waited = `within ${timeoutMs} ms`;
  if (!mayHaveHappened(flight)) return `${what} could not be sent ${waited}, so nothing happened. Try again.`;
  const unknown = `${what} was not answered ${waited}, and whether it happened is unknown.`;
  if (late?.afterTimeout)
    return `${unknown} Should it succeed late, the hold is released at once. Try again.`;
  if (late !== undefined) return `${unknown} Call hold() again with the same key to learn the outcome.`;
  if (repeatable) return `${unknown} Repeating it is safe.`;
  return `${unknown} Repeating it could apply it twice: read first.`;
}

export function timeoutDetails(flight: Flight, timeoutMs: number): ErrorDetails {
  return { timeoutMs, sent: mayHaveHappened(flight) };
}
