/** Median of at least one number; between the middle two of an even count. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values have no median');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1] + upper) / 2;
}

/** Slowest and fastest of at least one run. */
export type Spread = [min: number, max: number];

/** Lowest and highest of at least one rate, in whole units. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('no values have no spread');
  return [Math.round(Math.min(...values)), Math.round(Math.max(...values))];
}

/** Three digits behind the point, so that a report stays readable. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
