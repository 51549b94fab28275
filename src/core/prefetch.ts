import { SLOT_BITS } from '../../protocol/limits.ts';
import { Header, Hold, layoutSegment, type SegmentOptions, Sku } from './layout.ts';
import type { SegmentTables } from './segment-tables.ts';
import { indexMask, placeSku } from './sku-table.ts';

/** Commands whose memory is fetched together: enough to hide a miss behind others, few enough to stay in the first-level cache. */
export const GROUP = 16;

/** Word of a segment that stands for nothing to load: the header, which is always near. */
const NOWHERE = 0;

/**
 * Has the memory fetch what a group of commands will need, before the first of them is run. Cache misses are most of a command's cost in
 * a large segment; taken in rounds, each for the whole group, they overlap: what one round loads tells where the next one has to look.
 * Nothing is decided by the loads, and any of them may be in vain.
 *
 * A load that misses keeps all behind it from being finished, and the processor has room for some 500 instructions that wait so. The loops that
 * load therefore have next to nothing else in them. What a command only writes to, as the holds next to one in its pile, is not loaded: a
 * store that misses keeps nothing waiting.
 */
export class Prefetch {
  private readonly skuIndex: number;
  private readonly skus: number;
  private readonly holds: number;
  private readonly views: Int32Array[] = [];
  /** For each command of the group the word of the hold, or of the place in the index, and then of the SKU. */
  private readonly words = new Int32Array(GROUP);
  /** The word of the slot that a new hold will probably get, or NOWHERE for a command on a hold. */
  private readonly slots = new Int32Array(GROUP);
  /** Takes what was loaded, so that the loads are not optimised away. */
  protected loaded = 0;

  /** @param options those of all segments */
  constructor(options: SegmentOptions) {
    const layout = layoutSegment(options);
    this.skuIndex = layout.skuIndex;
    this.skus = layout.skus;
    this.holds = layout.holds;
  }

  /** Command number `i` of a group: `lo` is the low word of its SKU's hash, or of the id of its hold. */
  add(i: number, segment: SegmentTables, lo: number, byHold: boolean): void {
    const { i32 } = segment.memory;
    this.views[i] = i32;
    const fresh = i32[Header.FRESH_HOLD] as number;
    if (byHold) {
      const slot = lo & ((1 << SLOT_BITS) - 1);
      this.words[i] = slot < fresh ? this.holds + slot * Hold.WORDS : NOWHERE;
      this.slots[i] = NOWHERE;
    } else {
      const ended = i32[Header.ENDED_HEAD] as number;
      this.words[i] = this.skuIndex + (lo & indexMask(i32));
      // Behind the last slot lies the wheel, so this is within the memory.
      this.slots[i] = this.holds + (ended === 0 ? fresh : ended - 1) * Hold.WORDS;
    }
  }

  /** Loads it all, for the first `count` commands. */
  run(count: number): void {
    const { views, words, slots } = this;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const i32 = views[i] as Int32Array;
      sum ^= (i32[words[i] as number] as number) ^ (i32[slots[i] as number] as number);
    }
    for (let i = 0; i < count; i++) words[i] = this.skuWord(i);
    for (let i = 0; i < count; i++) sum ^= (views[i] as Int32Array)[words[i] as number] as number;
    this.loaded = sum;
  }

  /** The word of a command's SKU, by what was loaded for it, or NOWHERE. */
  private skuWord(i: number): number {
    const i32 = this.views[i] as Int32Array;
    const at = this.words[i] as number;
    if (at === NOWHERE) return NOWHERE;
    const ofHold = this.slots[i] === NOWHERE;
    const sku = ofHold ? (i32[at + Hold.SKU] as number) : placeSku(i32[at] as number);
    return sku < 0 ? NOWHERE : this.skus + sku * Sku.WORDS;
  }
}
