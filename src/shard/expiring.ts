import type { Prng } from '../base/prng.ts';
import { FINE_BUCKETS, Header, Hold, layoutSegment, TICK_MS } from '../core/layout.ts';
import type { EngineMemory } from './memory.ts';

/** How far ahead it is looked. Less than an epoch of the wheel, so that it all lies in fine buckets. */
export const HORIZONS_MS = [1000, 10_000] as const;
const HORIZON_MS = 10_000;
/** Holds that are looked at in all, whatever there is: a millisecond or two. Of more, buckets are drawn by lot. */
const MOST_HOLDS = 50_000;
/** With more segments than this, some are drawn by lot too. */
const MOST_SEGMENTS = 64;

/**
 * About how many open holds reach their deadline within each of HORIZONS_MS. Reads the wheels while their workers change them, so a chain
 * may break off or lead into another; what is read is bounded, and the outcome is for people who look at curves.
 */
export function estimateExpiring(
  memory: EngineMemory,
  nowMs: number,
  random: Prng,
  mostHolds = MOST_HOLDS,
): number[] {
  const { segments, segmentOptions } = memory;
  const { wheel, holds } = layoutSegment(segmentOptions);
  const views = segments.map((sab) => new Int32Array(sab));
  const open = views.reduce((sum, words) => sum + (words[Header.OPEN_HOLDS] as number), 0);
  const share = Math.min(1, MOST_SEGMENTS / segments.length);
  const lot = Math.min(1, mostHolds / (open * share));
  const sums = HORIZONS_MS.map(() => 0);
  const first = Math.floor(nowMs / TICK_MS);
  for (const words of views) {
    const most = words[Header.OPEN_HOLDS] as number;
    if (most === 0 || !drawn(share, random)) continue;
    for (let ahead = 0; ahead < HORIZON_MS / TICK_MS; ahead++) {
      const bucket = (first + ahead) & (FINE_BUCKETS - 1);
      let next = words[wheel + bucket * 2] as number;
      if (next === 0 || !drawn(lot, random)) continue;
      let count = 0;
      for (; next > 0 && next <= segmentOptions.holds && count < most; count++)
        next = words[holds + (next - 1) * Hold.WORDS + Hold.WHEEL_NEXT] as number;
      HORIZONS_MS.forEach((ms, i) => {
        if (ahead * TICK_MS < ms) sums[i] = (sums[i] as number) + count / (lot * share);
      });
    }
  }
  return sums.map(Math.round);
}

function drawn(share: number, random: Prng): boolean {
  return share >= 1 || random.below(1 << 20) < share * (1 << 20);
}
