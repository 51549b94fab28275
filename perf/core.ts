import { Cursor } from '../protocol/cursor.ts';
import { MAX_REPLY_BYTES } from '../protocol/limits.ts';
import { Op, StockMode } from '../protocol/ops.ts';
import { Status } from '../protocol/status.ts';
import { Writer } from '../protocol/writer.ts';
import { SkuHash, segmentOfHash } from '../src/base/hash.ts';
import { Prng } from '../src/base/prng.ts';
import { CommandHead, executeCommand } from '../src/core/execute.ts';
import { inspectSegment } from '../src/core/invariant.ts';
import { DEFAULT_SEGMENT_OPTIONS, Hold, segmentBytes } from '../src/core/layout.ts';
import { Segment } from '../src/core/segment.ts';
import { median } from './stats.ts';

/** Commands between two readings of the clock and two rounds of expiry, as in a worker under load. */
const BATCH_COMMANDS = 256;
/** Commands whose memory is fetched together, as in a worker. */
const GROUP = 16;
/** How far the clock goes in a batch. With it the time to live follows from the number of open holds. */
const BATCH_MS = 2;
const EXPIRY_BUDGET = 1024;
/** Commands are encoded beforehand, one for each stride of bytes, and played in a circle. */
const STRIDE_BYTES = 32;
const MOST_ENCODED = 1 << 20;
/** Words for each encoded command: segment, the hash's two words, bytes of the request id. */
const HEAD_WORDS = 4;
const START_MS = 1_700_000_000_000;
const UNITS_PER_SKU = 1_000_000;
const SEED = 20_240_229;

export interface CoreBenchOptions {
  /** SKUs over all segments, up to 10 million. */
  readonly skus: number;
  /** Holds that are open at any time of the measurement. */
  readonly openHolds: number;
  /** Holds placed in one measured run; as many expire meanwhile. */
  readonly holds: number;
  readonly repeats: number;
  readonly segments?: number;
}

export interface CoreBenchResult {
  /** HOLD commands from bytes to reply bytes with everything that belongs to them, expiry too: median over the repeats. */
  readonly commandsPerSecond: number;
  /** Slowest and fastest repeat, commands per second. */
  readonly spread: [min: number, max: number];
  /** The same by calls of segment.hold(), without reading and writing bytes: median. */
  readonly directPerSecond: number;
  /** Memory that one more open hold takes. */
  readonly bytesPerOpenHold: number;
  readonly openHolds: number;
  /** Whether every hold was accepted, the books of all segments are right and as many holds are open as there should be. */
  readonly verified: boolean;
}

/**
 * One thread, random SKUs, holds of one unit in a steady state: the clock goes on so that holds expire as fast as new ones
 * come. What a worker does between its two rings, without the rings.
 */
export async function benchCore(options: CoreBenchOptions): Promise<CoreBenchResult> {
  const stage = new Stage(options);
  stage.run(options.openHolds, false);
  // The steady state is reached when every slot has been used, by both ways in, which the compiler then knows.
  stage.run(options.openHolds, false);
  stage.run(options.openHolds, true);
  const rates: number[] = [];
  const directRates: number[] = [];
  for (let repeat = 0; repeat < options.repeats; repeat++) {
    rates.push(stage.run(options.holds, false));
    directRates.push(stage.run(options.holds, true));
  }
  return {
    commandsPerSecond: median(rates),
    spread: [Math.min(...rates), Math.max(...rates)],
    directPerSecond: median(directRates),
    bytesPerOpenHold: Hold.WORDS * Int32Array.BYTES_PER_ELEMENT,
    ...stage.verify(),
  };
}

/** Segments, stock and encoded commands of one benchmark. */
class Stage {
  private readonly segments: Segment[] = [];
  private readonly wantedOpen: number;
  private readonly ttlMs: number;
  private readonly encoded: number;
  private readonly commands: Uint8Array;
  private readonly heads: Int32Array;
  private readonly head = new CommandHead();
  private readonly cursor = new Cursor();
  private readonly writer = new Writer(new Uint8Array(MAX_REPLY_BYTES));
  private readonly touched = new Int32Array(GROUP);
  private next = 0;
  private nowMs = START_MS;
  private refused = 0;

  constructor({ skus, openHolds, holds, segments = 64 }: CoreBenchOptions) {
    this.wantedOpen = openHolds;
    this.ttlMs = Math.max(1, Math.round((openHolds / BATCH_COMMANDS) * BATCH_MS));
    this.encoded = Math.min(MOST_ENCODED, Math.max(holds, openHolds));
    this.commands = new Uint8Array(this.encoded * STRIDE_BYTES);
    this.heads = new Int32Array(this.encoded * HEAD_WORDS);
    const capacity = {
      ...DEFAULT_SEGMENT_OPTIONS,
      skus: Math.ceil((skus / segments) * 1.25) + 64,
      holds: Math.ceil(((openHolds + 16 * BATCH_COMMANDS) / segments) * 1.25) + 64,
      keys: 1,
      holders: 1,
    };
    for (let number = 0; number < segments; number++) {
      this.segments.push(new Segment(number, capacity, new SharedArrayBuffer(segmentBytes(capacity))));
    }
    this.stock(skus);
    this.encode(skus);
  }

  /** Places `count` holds and lets as many expire. Returns holds per second. */
  run(count: number, direct: boolean): number {
    const start = performance.now();
    for (let left = count; left > 0; left -= BATCH_COMMANDS) {
      this.nowMs += BATCH_MS;
      const batch = Math.min(left, BATCH_COMMANDS);
      if (direct) this.call(batch);
      else this.execute(batch);
      for (const segment of this.segments) {
        while (segment.advance(this.nowMs, EXPIRY_BUDGET) >= EXPIRY_BUDGET);
      }
    }
    return (count / (performance.now() - start)) * 1000;
  }

  verify(): { openHolds: number; verified: boolean } {
    let open = 0;
    let wrong = this.refused;
    for (const segment of this.segments) {
      const found = inspectSegment(segment);
      open += found.openHolds;
      wrong += found.violations.length;
      if (found.held !== found.openHolds || found.sold !== 0) wrong++;
    }
    // Holds end at most a tick late, which is a handful of batches.
    const most = this.wantedOpen + 8 * BATCH_COMMANDS;
    return { openHolds: open, verified: wrong === 0 && open > 0 && open <= most };
  }

  private execute(count: number): void {
    const { head, cursor, writer, heads, commands } = this;
    for (let i = 0; i < count; i++) {
      if (i % GROUP === 0) this.touch(Math.min(GROUP, count - i));
      const index = this.take();
      const words = index * HEAD_WORDS;
      const start = index * STRIDE_BYTES + 2;
      head.op = Op.HOLD;
      head.count = 5;
      head.lo = heads[words + 1] as number;
      head.hi = heads[words + 2] as number;
      head.holderLo = index;
      head.requestStart = start;
      head.requestBytes = heads[words + 3] as number;
      cursor.reset(commands, start + head.requestBytes, (index + 1) * STRIDE_BYTES);
      writer.pos = 0;
      const segment = this.segments[heads[words] as number] as Segment;
      if (executeCommand(segment, head, cursor, writer, this.nowMs) !== Status.OK) this.refused++;
    }
  }

  private call(count: number): void {
    const { heads, commands, ttlMs, nowMs } = this;
    for (let i = 0; i < count; i++) {
      if (i % GROUP === 0) this.touch(Math.min(GROUP, count - i));
      const index = this.take();
      const words = index * HEAD_WORDS;
      const name = index * STRIDE_BYTES + 3 + (heads[words + 3] as number);
      const bytes = (commands[name - 1] as number) & 0x1f;
      const lo = heads[words + 1] as number;
      const hi = heads[words + 2] as number;
      const segment = this.segments[heads[words] as number] as Segment;
      const status = segment.hold(lo, hi, commands, name, bytes, index, 0, 1, ttlMs, 0, 0, nowMs);
      if (status !== Status.OK) this.refused++;
    }
  }

  /** Has the memory fetch what the next `count` commands need, as a worker does for the commands that wait in its ring. */
  private touch(count: number): void {
    const { heads, touched } = this;
    for (let i = 0; i < count; i++) {
      const words = ((this.next + i) % this.encoded) * HEAD_WORDS;
      const segment = this.segments[heads[words] as number] as Segment;
      touched[i] = segment.touch(heads[words + 1] as number, false);
    }
    for (let i = 0; i < count; i++) touched[i] = this.segmentOf(i).touchSku(touched[i] as number);
    for (let i = 0; i < count; i++) this.segmentOf(i).touchHold(touched[i] as number);
  }

  /** Segment of the command that comes `ahead` commands after the next one. */
  private segmentOf(ahead: number): Segment {
    const words = ((this.next + ahead) % this.encoded) * HEAD_WORDS;
    return this.segments[this.heads[words] as number] as Segment;
  }

  private take(): number {
    const index = this.next;
    this.next = index + 1 < this.encoded ? index + 1 : 0;
    return index;
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
      writer.int32(this.ttlMs);
    }
  }
}

function nameOf(sku: number): Uint8Array {
  return Buffer.from(`sku-${String(sku).padStart(6, '0')}`);
}
