import type { SegmentTables } from './segment-tables.ts';

/** Commands whose memory is fetched together: enough to hide a miss behind others, few enough to stay in the first-level cache. */
export const GROUP = 16;

/** Stands for a command of which nothing more is known. */
const NONE = 0x7fffffff;

/**
 * Has the memory fetch what a group of commands will need, before the first of them is run. Cache misses are most of a command's cost in
 * a large segment; taken in rounds, each for the whole group, they overlap: what one round loads tells where the next one has to look.
 * Nothing is decided by the loads, and any of them may be in vain.
 */
export class Prefetch {
  private readonly segments: SegmentTables[] = [];
  /** A command's SKU, or the inverted slot of its hold, or NONE; after the second round the hold that a new one is linked behind. */
  private readonly found = new Int32Array(GROUP);

  /** The first round, for command number `i` of a group: `lo` is the low word of its SKU's hash, or of the id of its hold. */
  add(i: number, segment: SegmentTables, lo: number, byHold: boolean): void {
    this.segments[i] = segment;
    const at = byHold ? segment.touchSlot(lo) : segment.touchName(lo);
    this.found[i] = at < 0 ? NONE : byHold ? ~at : at;
  }

  /** The further rounds, for the first `count` commands. */
  run(count: number): void {
    const { segments, found } = this;
    for (let i = 0; i < count; i++) {
      const at = found[i] as number;
      const segment = segments[i] as SegmentTables;
      if (at === NONE) continue;
      if (at >= 0) found[i] = segment.touchSku(at);
      else segment.touchNeighbours(~at);
    }
    for (let i = 0; i < count; i++) {
      const slot = found[i] as number;
      if (slot >= 0 && slot !== NONE) (segments[i] as SegmentTables).touchHold(slot);
    }
  }
}
