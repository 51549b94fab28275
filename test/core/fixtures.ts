import { Packr, Unpackr } from 'msgpackr';
import { CommandPeek } from '../../protocol/command.ts';
import { Cursor } from '../../protocol/cursor.ts';
import { MAX_REPLY_BYTES } from '../../protocol/limits.ts';
import { OP_SHAPES, Op, Route } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';
import { SkuHash } from '../../src/base/hash.ts';
import type { EventSink } from '../../src/core/events.ts';
import { CommandHead, executeCommand } from '../../src/core/execute.ts';
import { EPOCH_MS, type SegmentOptions, segmentBytes } from '../../src/core/layout.ts';
import { Segment } from '../../src/core/segment.ts';

/** Where the tests' time begins: a day in 2023, and the start of an epoch of the wheel, so that its edges are easy to find. */
export const T0 = 51_880_000 * EPOCH_MS;

/** Roomy enough not to be in the way of a test of something else, small enough to be inspected after every step. */
const SMALL: SegmentOptions = {
  skus: 8,
  holds: 64,
  keys: 32,
  holders: 32,
  keyRetentionMs: 600_000,
  endedRetentionMs: 60_000,
  soldRetentionMs: 86_400_000,
  maxHoldLifeMs: 86_400_000,
};

export interface SegmentFixture extends Partial<SegmentOptions> {
  number?: number;
  sink?: EventSink;
}

export function makeSegment({ number = 3, sink, ...overrides }: SegmentFixture = {}): Segment {
  const options = { ...SMALL, ...overrides };
  return new Segment(number, options, new SharedArrayBuffer(segmentBytes(options)), sink);
}

/** In place of a holder's name: who may touch everybody's holds. */
export const ANY_HOLDER = 'any';

/** A hold's id as the two words that the segment's own calls take. */
export function wordsOf(id: number): { lo: number; hi: number } {
  return { lo: id | 0, hi: Math.floor(id / 2 ** 32) };
}

export function idOf(lo: number, hi: number): number {
  return hi * 2 ** 32 + (lo >>> 0);
}

/** A command as a client writes it, without a request id: `[Op.HOLD, 'pen', 2, 30_000]`. */
export type Command = [op: number, ...args: unknown[]];
/** What came back, without the request id: `[Status.OK, …]`. */
export type Reply = [status: number, ...results: unknown[]];

/** Something that commands can be given to: by their bytes, or by the segment's own calls. */
export interface Caller {
  readonly segment: Segment;
  send(command: Command, now: number, holder?: string): Reply;
}

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });

/** Encodes commands with a stranger's MessagePack and runs them as a worker does. */
export class EncodedCaller implements Caller {
  readonly segment: Segment;
  readonly head = new CommandHead();
  readonly cursor = new Cursor();
  readonly writer = new Writer(new Uint8Array(MAX_REPLY_BYTES));
  private readonly peek = new CommandPeek();
  private readonly hash = new SkuHash();
  /** Of the last command. */
  requestId = 0;

  constructor(segment: Segment) {
    this.segment = segment;
  }

  send(command: Command, now: number, holder = 'ann'): Reply {
    this.aim(this.encode(command), holder);
    return this.execute(now);
  }

  /** The command cut off behind its first argument, and behind every further byte but the last: all the replies. */
  sendCut(command: Command, now: number): Reply[] {
    const bytes = this.encode(command);
    const replies: Reply[] = [];
    this.aim(bytes, 'ann');
    const firstArgument = this.cursor.pos;
    this.cursor.skip(1);
    for (let end = this.cursor.pos; end < bytes.length; end++) {
      this.cursor.reset(bytes, firstArgument, end);
      replies.push(this.execute(now));
    }
    return replies;
  }

  encode([op, ...args]: Command): Uint8Array {
    return Uint8Array.from(packr.pack([op, ++this.requestId, ...args]));
  }

  /** Runs the command that aim() was given. */
  private execute(now: number): Reply {
    this.writer.pos = 0;
    const status = executeCommand(this.segment, this.head, this.cursor, this.writer, now);
    const bytes = this.writer.u8.subarray(0, this.writer.pos);
    const [echoed, ...reply] = unpackr.unpack(bytes) as [number, ...Reply];
    const whole = echoed === this.requestId && reply[0] === status;
    if (!whole)
      throw new Error(`request ${this.requestId} with status ${status} was answered ${echoed} ${reply}`);
    return reply;
  }

  /** Sets head and cursor for a command's bytes, as the front and the ring do between them. */
  aim(bytes: Uint8Array, holder: string): void {
    const { head, cursor, peek } = this;
    cursor.reset(bytes, 0, bytes.length);
    // Arguments that are wrong are left for the segment to find.
    peek.read(cursor);
    cursor.reset(bytes, peek.requestStart + peek.requestBytes, bytes.length);
    head.op = peek.op;
    head.count = peek.count;
    head.requestStart = peek.requestStart;
    head.requestBytes = peek.requestBytes;
    head.lo = peek.lo;
    head.hi = peek.hi;
    if (OP_SHAPES[peek.op]?.route === Route.SKU) {
      this.hash.run(bytes, peek.skuStart, peek.skuBytes);
      head.lo = this.hash.lo;
      head.hi = this.hash.hi;
    }
    const { lo, hi } = holderWords(holder);
    head.holderLo = lo;
    head.holderHi = hi;
  }
}

/** The same by the segment's own calls, without any bytes of a command. */
export class DirectCaller implements Caller {
  readonly segment: Segment;
  private readonly hash = new SkuHash();

  constructor(segment: Segment) {
    this.segment = segment;
  }

  send([op, target, ...args]: Command, now: number, holder = 'ann'): Reply {
    const { segment } = this;
    const { out } = segment;
    const by = holderWords(holder);
    const [first, second] = args.map((arg) => (arg === null ? undefined : arg)) as (number | undefined)[];
    if (OP_SHAPES[op]?.route === Route.SKU) return this.sendToSku(op, String(target), args, now, by);
    const { lo, hi } = wordsOf(target as number);
    if (op === Op.READ_HOLD) {
      const status = segment.readHold(lo, hi, by.lo, by.hi, now);
      if (status !== Status.OK) return [status];
      const start = segment.skus.nameStart(out[1]);
      const name = segment.memory.u8.slice(start, start + segment.skus.nameBytes(out[1]));
      return [status, out[0], Buffer.from(name).toString(), ...out.subarray(2, 6)];
    }
    const status =
      op === Op.CONFIRM
        ? segment.confirm(lo, hi, by.lo, by.hi, first ?? 0, now)
        : op === Op.RELEASE
          ? segment.release(lo, hi, by.lo, by.hi, first ?? 0, second ?? 0, now)
          : op === Op.RETURN
            ? segment.returnSold(lo, hi, by.lo, by.hi, first ?? 0, second ?? 0, now)
            : segment.extend(lo, hi, by.lo, by.hi, first as number, now);
    const bare = status === Status.UNKNOWN_HOLD || status === Status.NOT_CONFIRMED;
    return bare ? [status] : [status, out[0]];
  }

  private sendToSku(
    op: number,
    sku: string,
    args: unknown[],
    now: number,
    by: { lo: number; hi: number },
  ): Reply {
    const { segment, hash } = this;
    const { out } = segment;
    const [quantity, ttlMs, key] = args as [number, number, string | null | undefined];
    const name = Buffer.from(sku);
    const bytes = Buffer.concat([name, Buffer.from(op === Op.HOLD ? (key ?? '') : '')]);
    hash.run(bytes, 0, name.length);
    if (op === Op.READ) {
      const status = segment.read(hash.lo, hash.hi, bytes, 0, name.length, now);
      return [status, ...out.subarray(0, status === Status.OK ? 8 : 0)];
    }
    if (op === Op.STOCK) {
      const [mode, amount, ...settings] = args as number[];
      const [perHold, perHolder, ttl] = [0, 1, 2].map((at) => settings[at] ?? -1);
      const { lo, hi } = hash;
      const status = segment.stock(lo, hi, bytes, 0, name.length, mode, amount, perHold, perHolder, ttl, now);
      return [status, ...out.subarray(0, status === Status.OK || status === Status.STOCK_LIMIT ? 4 : 0)];
    }
    const keyBytes = bytes.length - name.length;
    const status = segment.hold(
      ...([hash.lo, hash.hi, bytes, 0, name.length, by.lo, by.hi] as const),
      ...([quantity, ttlMs, name.length, keyBytes, now] as const),
    );
    if (status === Status.OK) return [status, idOf(segment.holdLo, segment.holdHi), out[0]];
    if (status === Status.KEY_CONFLICT) return [status, idOf(segment.holdLo, segment.holdHi)];
    const results = new Map<number, number>([
      [Status.HOLD_LIMIT, 1],
      [Status.TTL_LIMIT, 1],
      [Status.HOLDER_LIMIT, 2],
      [Status.SOLD_OUT, 1],
      [Status.HELD_OUT, 2],
    ]);
    return [status, ...out.subarray(0, results.get(status) ?? 0)];
  }
}

const holders = new Map<string, { lo: number; hi: number }>();

/** Two words for a holder's name; where they come from does not matter to a segment. */
export function holderWords(name: string): { lo: number; hi: number } {
  if (name === ANY_HOLDER) return { lo: 0, hi: 0 };
  let words = holders.get(name);
  if (words === undefined) {
    const hash = new SkuHash();
    hash.run(Buffer.from(name), 0, Buffer.byteLength(name));
    words = { lo: hash.lo, hi: hash.hi };
    holders.set(name, words);
  }
  return words;
}
