import {
  BUCKET_WORDS,
  Header,
  KEYS_PER_BUCKET,
  Key,
  KeyState,
  type SegmentLayout,
  type SegmentMemory,
} from './layout.ts';

/** Buckets of an empty index: 1 KiB. */
const FIRST_BUCKETS = 16;
/** Places of a bucket. Its last word is the first entry, + 1, of those for which there was no place. */
const PLACES = BUCKET_WORDS - 1;
/**
 * A place is an entry + 1, and above it a tag of the upper bits of its hash, of which the first four say where in the bucket the search
 * for it begins. The bucket follows from the lower bits.
 */
const TAG_SHIFT = 23;
const HOME_SHIFT = 28;
const ENTRY = (1 << TAG_SHIFT) - 1;

/**
 * Finds the entries of idempotency keys by hash. A bucket is one cache line with linear probing in it, and tells by the tags alone that
 * a key is not there, which is the rule: so most searches wait for one line of memory, and read no entry. What a full bucket cannot
 * take hangs on it as a chain.
 *
 * It grows by linear hashing (Litwin, 1980): as long as there are more than KEYS_PER_BUCKET entries for each bucket, on average, the next
 * new entry has one bucket split into two, in the order of the buckets. So few entries lie on few cache lines, and no entry waits for all to be
 * moved.
 */
export class KeyIndex {
  private readonly i32: Int32Array;
  private readonly buckets: number;
  private readonly states: number;
  private readonly entries: number;
  /** The bucket that is being split. */
  private readonly places = new Int32Array(PLACES);
  private readonly hashes = new Int32Array(PLACES);

  constructor(memory: SegmentMemory, layout: SegmentLayout) {
    this.i32 = memory.i32;
    this.buckets = layout.keyBuckets;
    this.states = layout.keyStates;
    this.entries = layout.keys;
  }

  /** Loads the bucket of a hash; see Prefetch. */
  touch(hash: number): number {
    return this.i32[this.bucketOf(hash)] as number;
  }

  /** The entry with this print, whose first word is the hash, or -1. */
  find(p0: number, p1: number, p2: number, p3: number): number {
    const { i32 } = this;
    const bucket = this.bucketOf(p0);
    let at = homeOf(p0);
    for (let seen = 0; seen < PLACES; seen++) {
      const place = i32[bucket + at] as number;
      if (place === 0) return -1;
      if (((place ^ p0) & ~ENTRY) === 0 && this.isOf((place & ENTRY) - 1, p0, p1, p2, p3))
        return (place & ENTRY) - 1;
      at = at < PLACES - 1 ? at + 1 : 0;
    }
    let next = i32[bucket + PLACES] as number;
    while (next !== 0 && !(this.hashOf(next - 1) === p0 && this.isOf(next - 1, p0, p1, p2, p3)))
      next = i32[this.overflow(next - 1)] as number;
    return next - 1;
  }

  /** Adds an entry that has its hash already, and is not in the index. */
  add(entry: number): void {
    const { i32 } = this;
    const count = i32[Header.KEY_COUNT] as number;
    if (count >= this.count * KEYS_PER_BUCKET) this.grow();
    i32[Header.KEY_COUNT] = count + 1;
    const hash = this.hashOf(entry);
    this.put(this.bucketOf(hash), entry, hash);
  }

  /** Takes out an entry that is in the index. */
  remove(entry: number): void {
    const { i32 } = this;
    const hash = this.hashOf(entry);
    const bucket = this.bucketOf(hash);
    const place = placeOf(entry, hash);
    let at = homeOf(hash);
    let seen = 0;
    while (seen < PLACES && i32[bucket + at] !== place) {
      at = at < PLACES - 1 ? at + 1 : 0;
      seen++;
    }
    if (seen === PLACES) this.unchain(bucket + PLACES, entry);
    else this.close(bucket, at);
    i32[Header.KEY_COUNT] = (i32[Header.KEY_COUNT] as number) - 1;
  }

  private get count(): number {
    return FIRST_BUCKETS + (this.i32[Header.KEY_GROWN] as number);
  }

  /** First word of the bucket of a hash: that of its lower bits, as many as all buckets need, or of one bit less where there is none yet. */
  private bucketOf(hash: number): number {
    const { count } = this;
    const mask = -1 >>> Math.clz32(count - 1);
    const bucket = hash & mask;
    return this.buckets + (bucket < count ? bucket : bucket & (mask >>> 1)) * BUCKET_WORDS;
  }

  private hashOf(entry: number): number {
    return this.i32[this.states + entry * KeyState.WORDS + KeyState.HASH] as number;
  }

  /** Word of an entry's link to the next in its bucket's chain. */
  private overflow(entry: number): number {
    return this.states + entry * KeyState.WORDS + KeyState.OVERFLOW;
  }

  private isOf(entry: number, p0: number, p1: number, p2: number, p3: number): boolean {
    const { i32 } = this;
    const at = this.entries + entry * Key.WORDS + Key.PRINT;
    return i32[at] === p0 && i32[at + 1] === p1 && i32[at + 2] === p2 && i32[at + 3] === p3;
  }

  private put(bucket: number, entry: number, hash: number): void {
    const { i32 } = this;
    let at = homeOf(hash);
    for (let seen = 0; seen < PLACES; seen++) {
      if (i32[bucket + at] === 0) {
        i32[bucket + at] = placeOf(entry, hash);
        return;
      }
      at = at < PLACES - 1 ? at + 1 : 0;
    }
    i32[this.overflow(entry)] = i32[bucket + PLACES] as number;
    i32[bucket + PLACES] = entry + 1;
  }

  /** Makes a place free: those behind it move up as far as their search begins no later, and the first of the chain gets a place. */
  private close(bucket: number, place: number): void {
    const { i32 } = this;
    let free = place;
    let gap = 0;
    let at = place;
    for (let seen = 1; seen < PLACES; seen++) {
      at = at < PLACES - 1 ? at + 1 : 0;
      gap++;
      const next = i32[bucket + at] as number;
      if (next === 0) break;
      const home = homeOf(next);
      const way = at < home ? at + PLACES - home : at - home;
      if (way < gap) continue;
      i32[bucket + free] = next;
      free = at;
      gap = 0;
    }
    i32[bucket + free] = 0;
    const chained = i32[bucket + PLACES] as number;
    if (chained === 0) return;
    i32[bucket + PLACES] = i32[this.overflow(chained - 1)] as number;
    this.put(bucket, chained - 1, this.hashOf(chained - 1));
  }

  private unchain(end: number, entry: number): void {
    const { i32 } = this;
    let link = end;
    while (i32[link] !== entry + 1) link = this.overflow((i32[link] as number) - 1);
    i32[link] = i32[this.overflow(entry)] as number;
  }

  /** Adds a bucket, for which there is room while there is for entries, and moves those there that belong to it: all come from one other. */
  private grow(): void {
    const { i32, count } = this;
    const mask = -1 >>> Math.clz32(count);
    const from = this.buckets + (count & (mask >>> 1)) * BUCKET_WORDS;
    const to = this.buckets + count * BUCKET_WORDS;
    i32[Header.KEY_GROWN] = (i32[Header.KEY_GROWN] as number) + 1;
    const { places, hashes } = this;
    // All of the hashes first, by loads that wait for nothing: a branch between them would have each wait for the one before.
    for (let at = 0; at < PLACES; at++) {
      const place = i32[from + at] as number;
      places[at] = place;
      hashes[at] = this.hashOf(Math.max(0, (place & ENTRY) - 1));
    }
    let next = i32[from + PLACES] as number;
    for (let at = 0; at < BUCKET_WORDS; at++) {
      i32[from + at] = 0;
      i32[to + at] = 0;
    }
    for (let at = 0; at < PLACES; at++) {
      const place = places[at] as number;
      if (place === 0) continue;
      const hash = hashes[at] as number;
      this.put((hash & mask) === count ? to : from, (place & ENTRY) - 1, hash);
    }
    while (next !== 0) {
      const entry = next - 1;
      next = i32[this.overflow(entry)] as number;
      const hash = this.hashOf(entry);
      this.put((hash & mask) === count ? to : from, entry, hash);
    }
  }
}

function placeOf(entry: number, hash: number): number {
  return (hash & ~ENTRY) | (entry + 1);
}

function homeOf(hashOrPlace: number): number {
  const home = hashOrPlace >>> HOME_SHIFT;
  return home < PLACES ? home : 0;
}
