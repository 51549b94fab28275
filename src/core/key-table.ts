import { mix } from '../base/hash.ts';
import { Chains } from './chains.ts';
import { Header, Key, type SegmentLayout, type SegmentMemory, type SegmentOptions } from './layout.ts';

/**
 * Idempotency keys of accepted HOLDs. An entry is found by a 128-bit print of holder, SKU and key (the first
 * half of it secret to others through the holder's keyed hash), so that two keys are never taken for one. From its
 * hold's end on it waits in a queue until it may be forgotten.
 */
export class KeyTable {
  private readonly chains: Chains;
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly retentionMs: number;
  /** The print made last. */
  private p0 = 0;
  private p1 = 0;
  private p2 = 0;
  private p3 = 0;

  constructor(memory: SegmentMemory, layout: SegmentLayout, options: SegmentOptions) {
    this.retentionMs = options.keyRetentionMs;
    this.i32 = memory.i32;
    this.f64 = memory.f64;
    this.chains = new Chains(memory, {
      buckets: layout.keyBuckets,
      mask: layout.keyMask,
      entries: layout.keys,
      words: Key.WORDS,
      capacity: options.keys,
      chain: Key.CHAIN,
      free: Header.KEY_FREE,
      fresh: Header.KEY_FRESH,
      count: Header.KEY_COUNT,
      grown: Header.KEY_GROWN,
      hashAt: (at) => this.i32[at + Key.PRINT] as number,
    });
  }

  get count(): number {
    return this.chains.count;
  }

  /** True when no key can be added, also not by forgetting one whose time has come. */
  full(): boolean {
    return this.chains.full && this.forget(1) === 0;
  }

  /** Word offset of an entry. */
  at(entry: number): number {
    return this.chains.at(entry);
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
    const i32 = this.i32;
    let entry = this.chains.first(this.p0);
    while (entry >= 0) {
      const at = this.chains.at(entry);
      if (i32[at] === p0 && i32[at + 1] === p1 && i32[at + 2] === p2 && i32[at + 3] === p3) return entry;
      entry = this.chains.next(entry);
    }
    return -1;
  }

  /** Remembers the answer to the key that find() was asked for last. Only when not full. */
  add(quantity: number, ttlMs: number, holdLo: number, holdHi: number): number {
    const entry = this.chains.add(this.p0);
    const at = this.chains.at(entry);
    const i32 = this.i32;
    i32[at] = this.p0;
    i32[at + 1] = this.p1;
    i32[at + 2] = this.p2;
    i32[at + 3] = this.p3;
    i32[at + Key.QUANTITY] = quantity;
    i32[at + Key.TTL_MS] = ttlMs;
    i32[at + Key.HOLD_LO] = holdLo;
    i32[at + Key.HOLD_HI] = holdHi;
    this.f64[at / 2 + Key.EXPIRES_F64] = (this.f64[Header.NOW_F64] as number) + ttlMs;
    this.f64[at / 2 + Key.FORGET_F64] = 0;
    return entry;
  }

  /** The entry's hold ends now: from here on it waits to be forgotten, in the order of the time of that. */
  retire(entry: number): void {
    const i32 = this.i32;
    const at = this.at(entry);
    this.f64[at / 2 + Key.FORGET_F64] = (this.f64[Header.NOW_F64] as number) + this.retentionMs;
    i32[at + Key.QUEUE] = 0;
    const tail = i32[Header.KEY_TAIL] as number;
    if (tail === 0) i32[Header.KEY_HEAD] = entry + 1;
    else i32[this.at(tail - 1) + Key.QUEUE] = entry + 1;
    i32[Header.KEY_TAIL] = entry + 1;
  }

  /** Forgets up to `budget` keys whose time has come. Returns how many. */
  forget(budget: number): number {
    const i32 = this.i32;
    let forgotten = 0;
    while (forgotten < budget) {
      const head = i32[Header.KEY_HEAD] as number;
      if (head === 0) break;
      const at = this.at(head - 1);
      if ((this.f64[at / 2 + Key.FORGET_F64] as number) > (this.f64[Header.NOW_F64] as number)) break;
      this.shift(head - 1);
      forgotten++;
    }
    return forgotten;
  }

  /** Whether the entry's hold has ended, so that the entry waits to be forgotten. */
  isRetired(entry: number): boolean {
    return (this.f64[this.at(entry) / 2 + Key.FORGET_F64] as number) !== 0;
  }

  /** Forgets a retired entry, whatever its time, and all that were retired before it. */
  forgetThrough(entry: number): void {
    let head: number;
    do {
      head = (this.i32[Header.KEY_HEAD] as number) - 1;
      this.shift(head);
    } while (head !== entry);
  }

  /**
   * Makes chains and free list, which are empty, of entries that were put into their places: those that are marked are in use,
   * others free.
   */
  rebuild(inUse: Uint8Array): void {
    for (let entry = 0; entry < inUse.length; entry++) {
      if (inUse[entry] === 0) this.chains.free(entry);
      else this.chains.restore(this.i32[this.at(entry)] as number, entry);
    }
  }

  /** Takes the first entry off the queue and forgets it. */
  private shift(head: number): void {
    const i32 = this.i32;
    const at = this.at(head);
    const next = i32[at + Key.QUEUE] as number;
    i32[Header.KEY_HEAD] = next;
    if (next === 0) i32[Header.KEY_TAIL] = 0;
    this.chains.remove(i32[at] as number, head);
  }

  /** Four lanes in the manner of MurmurHash3_x86_128, over the key's bytes, seeded by holder, SKU and length. */
  private print(sku: number, lo: number, hi: number, u8: Uint8Array, start: number, length: number): void {
    let a = lo ^ 0x239b961b;
    let b = hi ^ 0xab0e9789;
    let c = sku ^ Math.imul(lo, 0x38b34ae5);
    let d = length ^ Math.imul(hi, 0xa1e38b93);
    const end = start + length;
    for (let at = start; at < end; at += 4) {
      let word = u8[at] as number;
      if (at + 1 < end) word |= (u8[at + 1] as number) << 8;
      if (at + 2 < end) word |= (u8[at + 2] as number) << 16;
      if (at + 3 < end) word |= (u8[at + 3] as number) << 24;
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
