import { Cursor } from '../protocol/cursor.ts';
import { MAX_REPLY_BYTES, SLOT_BITS } from '../protocol/limits.ts';
import { Op, StockMode } from '../protocol/ops.ts';
import { Status } from '../protocol/status.ts';
import { Writer } from '../protocol/writer.ts';
import { SkuHash, segmentOfHash } from '../src/base/hash.ts';
import { Prng } from '../src/base/prng.ts';
import { CommandHead, executeCommand } from '../src/core/execute.ts';
import { inspectSegment } from '../src/core/invariant.ts';
import {
  COARSE_BUCKETS,
  DEFAULT_SEGMENT_OPTIONS,
  FINE_BUCKETS,
  Hold,
  segmentBytes,
} from '../src/core/layout.ts';
import { GROUP, Prefetch } from '../src/core/prefetch.ts';
import { Segment } from '../src/core/segment.ts';
import { median, type Spread, spread } from './stats.ts';

/** Commands between two readings of the clock and two rounds of expiry, as in a worker under load. */
const BATCH_COMMANDS = 256;
/** How far the clock goes in a batch. */
const BATCH_MS = 2;
const EXPIRY_BUDGET = 1024;
/** Far enough that no hold ends by itself while it is measured. */
const TTL_MS = 6 * 3_600_000;
/** HOLDs are encoded beforehand, one for each stride of bytes, and played in a circle; CONFIRMs as many at a time, between the measured parts. */
const STRIDE_BYTES = 32;
const MOST_ENCODED = 1 << 20;
const CHUNK_CONFIRMS = 1 << 16;
/** Words for each encoded HOLD: segment, the hash's two words, bytes of the request id. */
const HEAD_WORDS = 4;
const START_MS = 1_700_000_000_000;
const UNITS_PER_SKU = 100_000_000;
const SEED = 20_240_229;

/** SKUs of the run that the other is compared with. */
export const FEW_SKUS = 1000;

export interface CoreBenchOptions {
  /** SKUs over all segments, up to 10 million. */
  readonly skus: number;
  /** Holds that are open at any time of the measurement. */
  readonly openHolds: number;
  /** Commands of one measured run, half of them HOLDs and half CONFIRMs. */
  readonly commands: number;
  readonly repeats: number;
  readonly segments?: number;
}

export interface CoreBenchResult {
  /** HOLDs and CONFIRMs in turn, from bytes to reply bytes: median over the repeats. */
  readonly commandsPerSecond: number;
  /** Slowest and fastest repeat, commands per second. */
  readonly spread: Spread;
  /** The same with few SKUs: median. */
  readonly fewSkusPerSecond: number;
  /** By what share the run with all SKUs is slower than that with few: median over pairs of runs. */
  readonly slowdown: number;
  /** Memory of all tables that grows with open holds, by the open holds. */
  readonly bytesPerOpenHold: number;
  readonly openHolds: number;
  /** Whether every command was accepted, the books of all segments are right and as many holds are open as there should be. */
  readonly verified: boolean;
}

/**
 * One thread, HOLDs of random SKUs and CONFIRMs of random open holds in turn, so that as many holds stay open. What a worker does
 * between its rings, without the rings: events are written, and nobody reads them.
 */
export async function benchCore(options: CoreBenchOptions): Promise<CoreBenchResult> {
  const many = new Stage(options, options.skus);
  const few = new Stage(options, FEW_SKUS);
  for (const stage of [many, few]) stage.fill();
  const bytesPerOpenHold = many.bytesPerOpenHold();
  // The compiler learns the way in from both.
  for (const stage of [many, few]) stage.run(options.commands);
  const rates: number[] = [];
  const fewRates: number[] = [];
  for (let repeat = 0; repeat < options.repeats; repeat++) {
    rates.push(many.run(options.commands));
    fewRates.push(few.run(options.commands));
  }
  const verdicts = [many, few].map((stage) => stage.verify());
  return {
    commandsPerSecond: median(rates),
    spread: spread(rates),
    fewSkusPerSecond: median(fewRates),
    slowdown: median(rates.map((rate, i) => 1 - rate / (fewRates[i] as number))),
    bytesPerOpenHold,
    openHolds: verdicts[0]?.openHolds as number,
    verified: verdicts.every(({ verified }) => verified),
  };
}

/** Segments, stock and encoded commands of one side of the comparison. */
class Stage {
  private readonly segments: Segment[] = [];
  private readonly openHolds: number;
  private readonly encoded: number;
  private readonly commands: Uint8Array;
  private readonly heads: Int32Array;
  private readonly confirms = new Uint8Array(CHUNK_CONFIRMS * STRIDE_BYTES);
  private readonly random = new Prng(SEED);
  private readonly head = new CommandHead();
  private readonly cursor = new Cursor();
  private readonly writer = new Writer(new Uint8Array(MAX_REPLY_BYTES));
  private readonly prefetch: Prefetch;
  private readonly confirmLo = new Int32Array(CHUNK_CONFIRMS);
  private readonly confirmHi = new Int32Array(CHUNK_CONFIRMS);
  private readonly confirmHolder = new Int32Array(CHUNK_CONFIRMS);
  /** Ids of all holds that are open and not under way, and the holder of each. */
  private readonly openLo: Int32Array;
  private readonly openHi: Int32Array;
  private readonly openHolder: Int32Array;
  private open = 0;
  private next = 0;
  private nowMs = START_MS;
  private refused = 0;
  /** Takes what was only loaded, so that the loads are not optimised away. */
  protected touched = 0;

  constructor({ openHolds, commands, repeats, segments = 64 }: CoreBenchOptions, skus: number) {
    this.openHolds = openHolds;
    this.encoded = Math.min(MOST_ENCODED, openHolds);
    this.commands = new Uint8Array(this.encoded * STRIDE_BYTES);
    this.heads = new Int32Array(this.encoded * HEAD_WORDS);
    this.openLo = new Int32Array(openHolds + CHUNK_CONFIRMS);
    this.openHi = new Int32Array(openHolds + CHUNK_CONFIRMS);
    this.openHolder = new Int32Array(openHolds + CHUNK_CONFIRMS);
    const confirmed = (commands / 2) * (repeats + 1);
    const capacity = {
      ...DEFAULT_SEGMENT_OPTIONS,
      skus: Math.ceil((skus / segments) * 1.25) + 64,
      // With few SKUs some segments have a multiple of their share.
      holds: Math.ceil(((openHolds + confirmed) / segments) * (skus < 100_000 ? 3 : 1.25)) + 1024,
      keys: 1,
      holders: 1,
    };
    this.prefetch = new Prefetch(capacity);
    for (let number = 0; number < segments; number++) {
      this.segments.push(new Segment(number, capacity, new SharedArrayBuffer(segmentBytes(capacity))));
    }
    this.stock(skus);
    this.encode(skus);
  }

  /** Places all holds that are to be open. */
  fill(): void {
    while (this.open < this.openHolds) {
      this.nowMs += BATCH_MS;
      this.batch(Math.min(BATCH_COMMANDS, this.openHolds - this.open), 0, 0);
    }
  }

  /** Runs `count` commands. Returns commands per second. */
  run(count: number): number {
    let tookMs = 0;
    const most = Math.min(CHUNK_CONFIRMS, this.openHolds >> 1);
    for (let left = count / 2; left > 0; left -= most) {
      const chunk = Math.min(left, most);
      this.encodeConfirms(chunk);
      const start = performance.now();
      for (let done = 0; done < chunk; ) {
        this.nowMs += BATCH_MS;
        const pairs = Math.min(BATCH_COMMANDS / 2, chunk - done);
        this.batch(pairs, done, pairs);
        done += pairs;
        for (const segment of this.segments) segment.advance(this.nowMs, EXPIRY_BUDGET);
      }
      tookMs += performance.now() - start;
    }
    return (count / tookMs) * 1000;
  }

  /** Memory that is in use and would not be without the open holds, by the open holds. Only before anything was confirmed. */
  bytesPerOpenHold(): number {
    let bytes = 0;
    for (const segment of this.segments) {
      bytes += segment.holds.used * Hold.WORDS * 4;
      bytes += (FINE_BUCKETS + COARSE_BUCKETS) * 8;
    }
    return Math.round((bytes / this.open) * 10) / 10;
  }

  verify(): { openHolds: number; verified: boolean } {
    let open = 0;
    let wrong = this.refused;
    for (const segment of this.segments) {
      const found = inspectSegment(segment);
      open += found.openHolds;
      wrong += found.violations.length;
      if (found.held !== found.openHolds) wrong++;
    }
    return { openHolds: open, verified: wrong === 0 && open === this.openHolds };
  }

  /** Runs HOLDs and CONFIRMs in turn, after groups of both were touched as a worker does. */
  private batch(holds: number, firstConfirm: number, confirms: number): void {
    for (let from = 0; from < holds; from += GROUP / 2) {
      const to = Math.min(holds, from + GROUP / 2);
      this.touchGroup(to - from, firstConfirm + from, confirms === 0 ? 0 : to - from);
      for (let i = from; i < to; i++) {
        this.executeHold();
        if (confirms > 0) this.executeConfirm(firstConfirm + i);
      }
    }
  }

  /** Has the memory fetch what the next pairs need. A worker finds the commands' heads in front of their bytes, which are near then. */
  private touchGroup(pairs: number, firstConfirm: number, confirms: number): void {
    const { segments, heads, prefetch } = this;
    let added = 0;
    let bytes = 0;
    for (let i = 0; i < pairs; i++) {
      const index = (this.next + i) % this.encoded;
      const words = index * HEAD_WORDS;
      bytes ^= this.commands[index * STRIDE_BYTES] as number;
      prefetch.add(added++, segments[heads[words] as number] as Segment, heads[words + 1] as number, false);
      if (confirms === 0) continue;
      const lo = this.confirmLo[firstConfirm + i] as number;
      bytes ^= this.confirms[(firstConfirm + i) * STRIDE_BYTES] as number;
      prefetch.add(added++, segments[lo >>> SLOT_BITS] as Segment, lo, true);
    }
    this.touched = bytes;
    prefetch.run(added);
  }

  private executeHold(): void {
    const { head, cursor, writer, heads } = this;
    const index = this.next;
    this.next = index + 1 < this.encoded ? index + 1 : 0;
    const words = index * HEAD_WORDS;
    const start = index * STRIDE_BYTES + 2;
    head.op = Op.HOLD;
    head.count = 5;
    head.lo = heads[words + 1] as number;
    head.hi = heads[words + 2] as number;
    head.holderLo = index;
    head.requestStart = start;
    head.requestBytes = heads[words + 3] as number;
    cursor.reset(this.commands, start + head.requestBytes, (index + 1) * STRIDE_BYTES);
    writer.pos = 0;
    const segment = this.segments[heads[words] as number] as Segment;
    if (executeCommand(segment, head, cursor, writer, this.nowMs) !== Status.OK) this.refused++;
    // For a later CONFIRM.
    const open = this.open;
    this.openLo[open] = segment.holdLo;
    this.openHi[open] = segment.holdHi;
    this.openHolder[open] = index;
    this.open = open + 1;
  }

  private executeConfirm(index: number): void {
    const { head, cursor, writer } = this;
    const start = index * STRIDE_BYTES + 2;
    head.op = Op.CONFIRM;
    head.count = 3;
    head.lo = this.confirmLo[index] as number;
    head.hi = this.confirmHi[index] as number;
    head.holderLo = this.confirmHolder[index] as number;
    head.requestStart = start;
    head.requestBytes = 1;
    cursor.reset(this.confirms, start + 1, (index + 1) * STRIDE_BYTES);
    writer.pos = 0;
    const segment = this.segments[head.lo >>> SLOT_BITS] as Segment;
    if (executeCommand(segment, head, cursor, writer, this.nowMs) !== Status.OK) this.refused++;
  }

  /** Takes random open holds, of all that are open, and encodes a CONFIRM of each. */
  private encodeConfirms(count: number): void {
    const { openLo, openHi, openHolder } = this;
    const writer = new Writer(this.confirms);
    for (let i = 0; i < count; i++) {
      const at = this.random.below(this.open);
      const last = --this.open;
      const [lo, hi] = [openLo[at] as number, openHi[at] as number];
      this.confirmLo[i] = lo;
      this.confirmHi[i] = hi;
      this.confirmHolder[i] = openHolder[at] as number;
      openLo[at] = openLo[last] as number;
      openHi[at] = openHi[last] as number;
      openHolder[at] = openHolder[last] as number;
      writer.pos = i * STRIDE_BYTES;
      writer.array(3);
      writer.int32(Op.CONFIRM);
      writer.int32(1);
      writer.uint64(hi, lo);
    }
  }

  private stock(skus: number): void {
    const hash = new SkuHash();
    for (let sku = 0; sku < skus; sku++) {
      const name = nameOf(sku);
      hash.run(name, 0, name.length);
      const segment = this.segments[segmentOfHash(hash.hi, this.segments.length)] as Segment;
      const { lo, hi } = hash;
      const status = segment.stock(
        ...([lo, hi, name, 0, name.length] as const),
        ...([StockMode.TOTAL, UNITS_PER_SKU, 0, 0, 0, this.nowMs] as const),
      );
      if (status !== Status.OK) throw new Error(`STOCK number ${sku} was refused with status ${status}`);
    }
  }

  private encode(skus: number): void {
    const random = new Prng(SEED);
    const hash = new SkuHash();
    const writer = new Writer(this.commands);
    for (let index = 0; index < this.encoded; index++) {
      const name = nameOf(random.below(skus));
      hash.run(name, 0, name.length);
      writer.pos = index * STRIDE_BYTES;
      writer.array(5);
      writer.int32(Op.HOLD);
      const requestStart = writer.pos;
      writer.int32(index + 1);
      const words = [
        segmentOfHash(hash.hi, this.segments.length),
        hash.lo,
        hash.hi,
        writer.pos - requestStart,
      ];
      this.heads.set(words, index * HEAD_WORDS);
      writer.textFrom(name, 0, name.length);
      writer.int32(1);
      writer.int32(TTL_MS);
    }
  }
}

function nameOf(sku: number): Uint8Array {
  return Buffer.from(`sku-${String(sku).padStart(6, '0')}`);
}
