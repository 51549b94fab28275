/**
 * The next grain of a window, by how bursty its traffic was in the last second. Bursts want fine buckets: a bucket leaves the window as a
 * whole, so a coarse one holds those who come behind a burst up for longer than needed. Even traffic loses nothing in coarse ones.
 *
 * The measure is the coefficient of variation of the rate (standard deviation over mean), read once a second over slots of 100 ms:
 *
 *     in force   reading:  below 0.3   0.3 to 0.6   above 0.6   above 0.8
 *     FINE                 COARSE *    MEDIUM       MEDIUM      FINE
 *     MEDIUM               COARSE *    MEDIUM       MEDIUM      FINE
 *     COARSE               COARSE      COARSE       FINE        FINE
 *
 *     * if this reading and the two before it were calm (below 0.5), else MEDIUM
 *
 * @param state grain in bits 0 and 1, calm readings in a row (0 to 3) in bits 2 and 3; 0 to begin with
 * @returns the next state
 */
export function nextGrain(state: number, variation: number): number {
  const calm = variation < CALM ? Math.min((state >>> 2) + 1, CALM_READINGS) : 0;
  return (calm << 2) | wanted(state & 3, variation, calm);
}

export const Grain = { FINE: 0, MEDIUM: 1, COARSE: 2 } as const;
/** Length of a bucket by grain, in finest ones: 100 ms, 500 ms, 1 s. */
export const GRAIN_LENGTHS = [1, 5, 10] as const;
export const FINEST_MS = 100;

const BURSTY = 0.8;
const RESTLESS = 0.6;
const CALM = 0.5;
const UNEVEN = 0.3;
const CALM_READINGS = 3;

export function grainOf(state: number): number {
  return state & 3;
}

function wanted(grain: number, variation: number, calm: number): number {
  if (grain === Grain.COARSE) return variation > RESTLESS ? Grain.FINE : Grain.COARSE;
  if (variation > BURSTY) return Grain.FINE;
  return variation < UNEVEN && calm === CALM_READINGS ? Grain.COARSE : Grain.MEDIUM;
}
