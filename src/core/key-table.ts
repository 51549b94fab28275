import { mix } from '../base/hash.ts';
import { KeyIndex } from './key-index.ts';
import {
  Header,
  KEY_OPEN,
  Key,
  KeyState,
  type SegmentLayout,
  type SegmentMemory,
  type SegmentOptions,
} from './layout.ts';

/** Keys that are forgotten together, so that the memory fetches their buckets side by side. */
const FORGOTTEN_TOGETHER = 16;

/**
 * Idempotency keys of accepted HOLDs. An entry is found by a 128-bit print of holder, SKU and key (the first
 * half of it secret to others through the holder's keyed hash), so that two keys are never taken for one. From its
 * hold's end on it waits in a queue until it may be forgotten.
 */
export class KeyTable {
  private readonly index: KeyIndex;
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly states: number;
  private readonly entries: number;
  private readonly capacity: number;
  private readonly retentionMs: number;
  /** Entries that are forgotten together. */
  private readonly over = new Int32Array(FORGOTTEN_TOGETHER);
  /** The print made last. */
  private p0 = 0;
  private p1 = 0;
  private p2 = 0;
  private p3 = 0;
  /** Takes what was only loaded to warm the cache, so that the loads are not optimised away. */
  protected touched = 0;

  constructor(memory: SegmentMemory, layout: SegmentLayout, options: SegmentOptions) {
    this.index = new KeyIndex(memory, layout);
    this.i32 = memory.i32;
    this.f64 = memory.f64;
    this.states = layout.keyStates;
    this.entries = layout.keys;
    this.capacity = options.keys;
    this.retentionMs = options.keyRetentionMs;
  }

  get count(): number {
    return this.i32[Header.KEY_COUNT] as number;
  }

  /** True when no key can be added, also not by forgetting one whose time has come. */
  full(): boolean {
    const { i32 } = this;
    if (i32[Header.KEY_FREE] !== 0 || (i32[Header.KEY_FRESH] as number) < this.capacity) return false;
    return this.forget(1) === 0;
  }

  /** Word offset of an entry: what the answer was. */
  at(entry: number): number {
    return this.entries + entry * Key.WORDS;
  }

  /** Word offset of the rest of it. */
  stateAt(entry: number): number {
    return this.states + entry * KeyState.WORDS;
  }

  /** Makes the print of a key and looks for its entry; -1 when there is none. add() then uses the same print. */
  find(
    sku: number,
    holderLo: number,
    holderHi: number,
    u8: Uint8Array,
    start: number,
    length: number,
  ): number {
    this.print(sku, holderLo, holderHi, u8, start, length);
    return this.findAgain(this.p0, this.p1, this.p2, this.p3);
  }

  /** The same for a print that was made before. */
  findAgain(p0: number, p1: number, p2: number, p3: number): number {
    this.p0 = p0;
    this.p1 = p1;
    this.p2 = p2;
    this.p3 = p3;
    return this.index.find(p0, p1, p2, p3);
  }

  /** Remembers the answer to the key that find() was asked for last. Only when not full. */
  add(quantity: number, ttlMs: number, holdLo: number, holdHi: number): number {
    const i32 = this.i32;
    const entry = this.take();
    const at = this.at(entry);
    i32[at] = this.p0;
    i32[at + 1] = this.p1;
    i32[at + 2] = this.p2;
    i32[at + 3] = this.p3;
    i32[at + Key.QUANTITY] = quantity;
    i32[at + Key.TTL_MS] = ttlMs;
    i32[at + Key.HOLD_LO] = holdLo;
    i32[at + Key.HOLD_HI] = holdHi;
    this.f64[at / 2 + Key.EXPIRES_F64] = (this.f64[Header.NOW_F64] as number) + ttlMs;
    const state = this.stateAt(entry);
    i32[state + KeyState.HASH] = this.p0;
    i32[state + KeyState.QUEUE] = KEY_OPEN;
    this.index.add(entry);
    return entry;
  }

  /** The entry's hold ends now: from here on it waits to be forgotten, in the order of the time of that. */
  retire(entry: number): void {
    const i32 = this.i32;
    const state = this.stateAt(entry);
    i32[state + KeyState.ENDED] = (this.f64[Header.NOW_F64] as number) | 0;
    i32[state + KeyState.QUEUE] = 0;
    const tail = i32[Header.KEY_TAIL] as number;
    if (tail === 0) i32[Header.KEY_HEAD] = entry + 1;
    else i32[this.stateAt(tail - 1) + KeyState.QUEUE] = entry + 1;
    i32[Header.KEY_TAIL] = entry + 1;
  }

  /** Forgets up to `budget` keys whose time has come. Returns how many. */
  forget(budget: number): number {
    let forgotten = 0;
    while (forgotten < budget) {
      const over = this.gatherOver(Math.min(budget - forgotten, FORGOTTEN_TOGETHER));
      if (over === 0) break;
      this.shift(over);
      forgotten += over;
    }
    return forgotten;
  }

  /** Whether the entry's hold has ended, so that the entry waits to be forgotten. */
  isRetired(entry: number): boolean {
    return this.i32[this.stateAt(entry) + KeyState.QUEUE] !== KEY_OPEN;
  }

  /** The entry behind one that waits to be forgotten, + 1; 0 for the last. */
  behind(entry: number): number {
    return this.i32[this.stateAt(entry) + KeyState.QUEUE] as number;
  }

  /**
   * Whether the time of a retired entry is over. Ages are differences of 32 bits, which are right up to 24 days, far more than a retention
   * may be: a key that waits longer than that, in a server that stood still, counts as over, and after 49 days as young again.
   */
  isOver(entry: number): boolean {
    const now = (this.f64[Header.NOW_F64] as number) | 0;
    const age = (now - (this.i32[this.stateAt(entry) + KeyState.ENDED] as number)) | 0;
    return age < 0 || age >= this.retentionMs;
  }

  /** Forgets a retired entry, whatever its time, and all that were retired before it. */
  forgetThrough(entry: number): void {
    let head: number;
    do {
      head = (this.i32[Header.KEY_HEAD] as number) - 1;
      this.over[0] = head;
      this.shift(1);
    } while (head !== entry);
  }

  /**
   * Makes index and free list, which are empty, of entries that were put into their places: those that are marked are in use,
   * others free.
   */
  rebuild(inUse: Uint8Array): void {
    for (let entry = 0; entry < inUse.length; entry++) {
      if (inUse[entry] === 0) this.free(entry);
      else this.index.add(entry);
    }
  }

  /** A free entry; only when not full. */
  private take(): number {
    const i32 = this.i32;
    const free = i32[Header.KEY_FREE] as number;
    if (free !== 0) {
      i32[Header.KEY_FREE] = this.behind(free - 1);
      return free - 1;
    }
    const fresh = i32[Header.KEY_FRESH] as number;
    i32[Header.KEY_FRESH] = fresh + 1;
    return fresh;
  }

  private free(entry: number): void {
    const i32 = this.i32;
    i32[this.stateAt(entry) + KeyState.QUEUE] = i32[Header.KEY_FREE] as number;
    i32[Header.KEY_FREE] = entry + 1;
  }

  /** Puts the first of the queue that are over into `over`, up to `most`, and loads their buckets, side by side. Returns how many. */
  private gatherOver(most: number): number {
    const { i32, over } = this;
    let next = i32[Header.KEY_HEAD] as number;
    let found = 0;
    let sum = 0;
    while (found < most && next !== 0 && this.isOver(next - 1)) {
      const state = this.stateAt(next - 1);
      sum ^= this.index.touch(i32[state + KeyState.HASH] as number);
      over[found++] = next - 1;
      next = i32[state + KeyState.QUEUE] as number;
    }
    this.touched = sum;
    return found;
  }

  /** Takes the first `count` entries off the queue, which `over` has, and forgets them: as they are linked, they become free. */
  private shift(count: number): void {
    const { i32, over } = this;
    for (let i = 0; i < count; i++) this.index.remove(over[i] as number);
    const last = this.stateAt(over[count - 1] as number) + KeyState.QUEUE;
    const next = i32[last] as number;
    i32[last] = i32[Header.KEY_FREE] as number;
    i32[Header.KEY_FREE] = (over[0] as number) + 1;
    i32[Header.KEY_HEAD] = next;
    if (next === 0) i32[Header.KEY_TAIL] = 0;
  }

  /** Four lanes in the manner of MurmurHash3_x86_128, over the key's bytes, seeded by holder, SKU and length. */
  private print(sku: number, lo: number, hi: number, u8: Uint8Array, start: number, length: number): void {
    let a = lo ^ 0x239b961b;
    let b = hi ^ 0xab0e9789;
    let c = sku ^ Math.imul(lo, 0x38b34ae5);
    let d = length ^ Math.imul(hi, 0xa1e38b93);
    const end = start + length;
    const whole = end - 3;
    for (let at = start; at < end; at += 4) {
      let word = u8[at] as number;
      if (at < whole) {
        word |=
          ((u8[at + 1] as number) << 8) | ((u8[at + 2] as number) << 16) | ((u8[at + 3] as number) << 24);
      } else {
        if (at + 1 < end) word |= (u8[at + 1] as number) << 8;
        if (at + 2 < end) word |= (u8[at + 2] as number) << 16;
      }
      a = Math.imul(a ^ Math.imul(word, 0x239b961b), 0xab0e9789) + b;
      a = (a << 19) | (a >>> 13);
      b = Math.imul(b ^ Math.imul(word, 0xab0e9789), 0x38b34ae5) + c;
      b = (b << 17) | (b >>> 15);
      c = Math.imul(c ^ Math.imul(word, 0x38b34ae5), 0xa1e38b93) + d;
      c = (c << 15) | (c >>> 17);
      d = Math.imul(d ^ Math.imul(word, 0xa1e38b93), 0x239b961b) + a;
      d = (d << 13) | (d >>> 19);
    }
    a = mix(a ^ Math.imul(d, 5));
    b = mix(b ^ a);
    c = mix(c ^ b);
    d = mix(d ^ c);
    this.p0 = a ^ d;
    this.p1 = b;
    this.p2 = c;
    this.p3 = d;
  }
}
