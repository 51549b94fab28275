import { MAX_HOLD_LIFE_MS, MAX_SEGMENTS, MAX_SLOTS } from '../../protocol/limits.ts';
import { assert } from '../base/assert.ts';

/**
 * Where everything lies in a segment's one SharedArrayBuffer. All offsets are in 32-bit words.
 *
 *     header | gap | SKU index | SKU records | hold records | wheel | keys: buckets, states, entries | holders: buckets, entries
 *
 * Zeroed memory is a valid empty segment: links hold slot + 1, so that 0 means none. The kernel commits a page
 * when it is first touched, so capacity that is never used costs address space only.
 */

/** What a segment may hold, and how long it remembers. Counts are entries, times are ms. */
export interface SegmentOptions {
  skus: number;
  holds: number;
  keys: number;
  holders: number;
  /** An idempotency key is kept this long past its hold's end. */
  keyRetentionMs: number;
  /** Released and expired holds stay readable this long, while they are no more than an eighth of all slots. */
  endedRetentionMs: number;
  /** Confirmed holds are kept this long, for RETURN. */
  soldRetentionMs: number;
  /** No hold lives longer than this from its placing, however often it is extended. */
  maxHoldLifeMs: number;
}

export const DEFAULT_SEGMENT_OPTIONS: SegmentOptions = {
  skus: 65_536,
  holds: 1_048_576,
  keys: 1_048_576,
  holders: 262_144,
  keyRetentionMs: 600_000,
  endedRetentionMs: 60_000,
  soldRetentionMs: 86_400_000,
  maxHoldLifeMs: 86_400_000,
};

/** Header words. Those named …_F64 are indices into the Float64Array view of the same buffer. */
export const Header = {
  SKU_COUNT: 0,
  OPEN_HOLDS: 1,
  FRESH_HOLD: 2,
  ENDED_HEAD: 3,
  ENDED_TAIL: 4,
  SOLD_HEAD: 5,
  SOLD_TAIL: 6,
  ENDED_COUNT: 7,
  KEY_FREE: 8,
  KEY_FRESH: 9,
  KEY_COUNT: 10,
  KEY_HEAD: 11,
  KEY_TAIL: 12,
  /** Buckets that the index of keys has grown by, and the holders' chains. */
  KEY_GROWN: 13,
  HOLDER_FREE: 14,
  HOLDER_FRESH: 15,
  HOLDER_COUNT: 16,
  HOLDER_GROWN: 17,
  /** How often the SKU index has doubled. */
  SKU_INDEX_DOUBLED: 18,
  /** See Fence. */
  FENCED: 20,
  /** Low 32 bits of the LSN before the change that it was fenced off in the middle of. */
  FENCED_LSN: 21,
  LSN_F64: 16,
  NOW_F64: 17,
  TICK_F64: 18,
  EPOCH_F64: 19,
  WORDS: 64,
} as const;

/** Whether a segment is in service, or fenced off after a death in the middle of a command: for good, or until it is rebuilt. */
export const Fence = { NONE: 0, FOR_GOOD: 1, UNTIL_REBUILT: 2 } as const;

/**
 * A SKU's record: two cache lines, the first with all that a hold of a SKU without limits touches. A name of up to 32
 * bytes lies in the first line too.
 */
export const Sku = {
  AVAILABLE: 0,
  HELD: 1,
  SOLD: 2,
  /** Bytes of the name in the low byte, and the flags below. */
  NAME: 3,
  /** Head and tail of the first pile; the second's lie PILE_STRIDE further on. */
  PILES: 4,
  /** No hold in the first pile ends later. */
  PILE_BOUND_F64: 3,
  NAME_WORD: 8,
  TOTAL: 24,
  MAX_PER_HOLD: 25,
  MAX_PER_HOLDER: 26,
  MAX_TTL_MS: 27,
  /** Head of the list of holds that fit no pile, and the earliest of them where it is known: slot + 1 both. */
  LOOSE: 30,
  LOOSE_EARLIEST: 31,
  WORDS: 32,
} as const;
/** Units per holder are counted. */
export const SKU_COUNTED = 0x100;
/** Any of the limits is set. */
export const SKU_LIMITED = 0x200;
export const PILES = 2;
export const PILE_STRIDE = 24;
/** Stands for a pile in the record of a hold that fits none. */
export const LOOSE = 2;

/** A hold's record: one cache line. */
export const Hold = {
  /** Deadline while held; time of the end afterwards. */
  ENDS_F64: 0,
  CREATED_F64: 1,
  HOLDER_LO: 4,
  HOLDER_HI: 5,
  SKU: 6,
  /** Units held; of a confirmed hold, units sold. */
  QUANTITY: 7,
  RETURNED: 8,
  /** generation << 8 | pile << 4 | state. */
  META: 9,
  /** Neighbours in the bucket as slot + 1; the last's next and the first's previous are ~bucket. */
  WHEEL_NEXT: 10,
  WHEEL_PREV: 11,
  /** Next in the pile; once ended, next in the queue of ended or sold holds. */
  PILE_NEXT: 12,
  PILE_PREV: 13,
  HOLDER_ENTRY: 14,
  KEY_ENTRY: 15,
  WORDS: 16,
} as const;

/** What an idempotency key's answer was: written once, and read when the key comes again. */
export const Key = {
  PRINT: 0,
  QUANTITY: 4,
  TTL_MS: 5,
  HOLD_LO: 6,
  HOLD_HI: 7,
  EXPIRES_F64: 4,
  WORDS: 10,
} as const;
/** The rest of a key, which its life changes: apart, so that four of them lie on a cache line. */
export const KeyState = {
  /** First word of the print. */
  HASH: 0,
  /** The next in the queue of those that wait to be forgotten, or of free ones, as entry + 1; KEY_OPEN while the hold is open. */
  QUEUE: 1,
  /** When the hold ended: low 32 bits of the time in ms. */
  ENDED: 2,
  /** The next for which there was no place in the bucket, as entry + 1. */
  OVERFLOW: 3,
  WORDS: 4,
} as const;
export const KEY_OPEN = -1;
/** More make the index of keys grow, so that a bucket of a cache line is a third full on average. */
export const KEYS_PER_BUCKET = 5;

export const Holder = { SKU: 0, LO: 1, HI: 2, UNITS: 3, CHAIN: 4, WORDS: 6 } as const;

/** The expiry wheel: fine buckets of 8 ms over two epochs, and a coarse bucket for each later epoch. */
export const TICK_MS = 8;
export const EPOCH_TICKS = 4096;
export const EPOCH_MS = TICK_MS * EPOCH_TICKS;
export const FINE_BUCKETS = 2 * EPOCH_TICKS;
export const COARSE_BUCKETS = powerOfTwo(Math.ceil(MAX_HOLD_LIFE_MS / EPOCH_MS) + 2);

const HOLDERS_PER_BUCKET = 4;
/** A bucket of keys is a cache line. */
export const BUCKET_WORDS = 16;

const LINE_WORDS = 16;
/**
 * Words that are left out in front of the tables. A piece of memory as large as a segment's begins 16 bytes behind the start of a page,
 * where glibc keeps its size, and so the tables begin with a cache line. Elsewhere it may be otherwise, which costs speed only.
 */
const LEAD_WORDS = LINE_WORDS - 16 / 4;

export interface SegmentLayout {
  readonly skuIndex: number;
  readonly skus: number;
  readonly holds: number;
  /** Head and tail words of every bucket, fine ones first. */
  readonly wheel: number;
  readonly keyBuckets: number;
  readonly keyStates: number;
  readonly keys: number;
  readonly holderBuckets: number;
  readonly holderMask: number;
  readonly holders: number;
  readonly bytes: number;
}

export function layoutSegment(options: SegmentOptions): SegmentLayout {
  assert(options.holds >= 1 && options.holds <= MAX_SLOTS, 'holds per segment fit a hold id');
  assert(options.skus < MAX_SLOTS, 'a SKU number fits its place in the index');
  assert(options.skus >= 1 && options.keys >= 1 && options.holders >= 1, 'every table has a place');
  let at = Header.WORDS + LEAD_WORDS;
  const take = (words: number): number => {
    const start = at;
    at += Math.ceil(words / LINE_WORDS) * LINE_WORDS;
    return start;
  };
  const indexSlots = powerOfTwo(options.skus * 2);
  const keyBuckets = powerOfTwo(options.keys / KEYS_PER_BUCKET);
  // In a full table four share a bucket.
  const holderSlots = powerOfTwo(options.holders / HOLDERS_PER_BUCKET);
  const layout = {
    skuIndex: take(indexSlots),
    skus: take(options.skus * Sku.WORDS),
    holds: take(options.holds * Hold.WORDS),
    wheel: take((FINE_BUCKETS + COARSE_BUCKETS) * 2),
    keyBuckets: take(keyBuckets * BUCKET_WORDS),
    keyStates: take(options.keys * KeyState.WORDS),
    keys: take(options.keys * Key.WORDS),
    holderBuckets: take(holderSlots),
    holderMask: holderSlots - 1,
    holders: take(options.holders * Holder.WORDS),
  };
  return { ...layout, bytes: at * 4 };
}

/** Bytes that a segment of these capacities needs. */
export function segmentBytes(options: SegmentOptions): number {
  return layoutSegment(options).bytes;
}

/** The views that all tables of a segment share. */
export interface SegmentMemory {
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly u8: Uint8Array;
}

export function viewSegment(sab: SharedArrayBuffer): SegmentMemory {
  return { i32: new Int32Array(sab), f64: new Float64Array(sab), u8: new Uint8Array(sab) };
}

export function powerOfTwo(atLeast: number): number {
  let size = 16;
  while (size < atLeast) size *= 2;
  return size;
}

assert(MAX_SEGMENTS <= 1 << 10, 'a segment number fits its bits of a hold id');
