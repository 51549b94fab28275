export interface Backoff {
  /** Upper bound of the first wait. */
  readonly initialMs: number;
  /** Upper bound of every wait. */
  readonly maxMs: number;
}

/**
 * How long to wait before attempt number `attempt` (from 0): anything from nothing to a bound that doubles.
 * Drawing from the whole range ("full jitter") spreads the clients of a restarted server most evenly; see
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
 */
export function backoffMs(
  attempt: number,
  { initialMs, maxMs }: Backoff,
  random: () => number = Math.random,
): number {
  return random() * Math.min(maxMs, initialMs * 2 ** attempt);
}
