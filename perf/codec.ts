import { Packr, Unpackr } from 'msgpackr';
import { CommandPeek } from '../protocol/command.ts';
import { Cursor } from '../protocol/cursor.ts';
import { MAX_SKU_BYTES } from '../protocol/limits.ts';
import { Op } from '../protocol/ops.ts';
import { Status } from '../protocol/status.ts';
import { Writer } from '../protocol/writer.ts';
import { skuName } from './load/frames.ts';
import { median, rounded, type Spread, spread } from './stats.ts';

export interface CodecOptions {
  /** Measured time of each rate in each repeat. */
  readonly seconds: number;
  readonly repeats: number;
  /** HOLD commands in the buffer that is gone through again and again. */
  readonly commands: number;
}

export interface CodecResult {
  /** A server's share of the coding: the route peeked, a HOLD read to its last argument, its reply written. */
  readonly commandsPerSecond: number;
  readonly spread: Spread;
  /** The same with msgpackr, which reads into arrays and writes from arrays. */
  readonly msgpackrCommandsPerSecond: number;
  readonly timesMsgpackr: number;
  /** The steps one by one, medians, per second. */
  readonly steps: Readonly<Record<StepName, { readonly holdfast: number; readonly msgpackr: number }>>;
  /** Both read the same values from every message. */
  readonly verified: boolean;
}

type StepName = 'readCommand' | 'writeReply' | 'writeCommand' | 'readReply';

const FIRST_REQUEST_ID = 0x10000;
const TTL_MS = 30_000;
const HOLD_ID_WORD = 7;
const ENDS_AT_MS = 1_800_000_000_000;

/** Rates of reading and writing HOLD commands and their replies on one thread, beside msgpackr's. */
export function benchCodec(options: CodecOptions): CodecResult {
  const holdfast = holdfastCodec(options.commands);
  const msgpackr = msgpackrCodec(options.commands, holdfast);
  const verified =
    holdfast.readCommand() === msgpackr.readCommand() && holdfast.readReply() === msgpackr.readReply();
  const rates = (steps: readonly (() => unknown)[]) => ratesOf(steps, options);
  const server = rates([holdfast.readCommand, holdfast.writeReply]);
  const serverMsgpackr = rates([msgpackr.readCommand, msgpackr.writeReply]);
  const step = (name: StepName) => ({
    holdfast: Math.round(median(rates([holdfast[name]]))),
    msgpackr: Math.round(median(rates([msgpackr[name]]))),
  });
  return {
    commandsPerSecond: Math.round(median(server)),
    spread: spread(server),
    msgpackrCommandsPerSecond: Math.round(median(serverMsgpackr)),
    timesMsgpackr: rounded(median(server) / median(serverMsgpackr)),
    steps: {
      readCommand: step('readCommand'),
      writeReply: step('writeReply'),
      writeCommand: step('writeCommand'),
      readReply: step('readReply'),
    },
    verified,
  };
}

/** Messages a second, one figure for each repeat; each step goes through all messages once. */
function ratesOf(steps: readonly (() => unknown)[], options: CodecOptions): number[] {
  const rates: number[] = [];
  // The first round compiles the code and is not counted.
  for (let i = 0; i <= options.repeats; i++) {
    const startMs = performance.now();
    const endMs = startMs + options.seconds * 1000;
    let nowMs = startMs;
    let rounds = 0;
    while (nowMs < endMs) {
      for (const step of steps) step();
      rounds++;
      nowMs = performance.now();
    }
    if (i > 0) rates.push((rounds * options.commands * 1000) / (nowMs - startMs));
  }
  return rates;
}

/** Steps over `commands` messages lying back to back; the reading ones return a sum of what they read. */
interface Codec extends Record<StepName, () => number> {
  /** Bytes that the writing steps left. */
  readonly commandBytes: Uint8Array;
  readonly replyBytes: Uint8Array;
}

function holdfastCodec(commands: number): Codec {
  const names = Array.from({ length: commands }, (_, i) => Buffer.from(skuName(i)));
  const commandWriter = new Writer(new Uint8Array(commands * 64));
  const replyWriter = new Writer(new Uint8Array(commands * 64));
  const cursor = new Cursor();
  const args = new Cursor();
  const peek = new CommandPeek();
  const writeCommand = () => {
    const writer = commandWriter;
    writer.pos = 0;
    for (let i = 0; i < commands; i++) {
      const name = names[i];
      writer.array(5);
      writer.int32(Op.HOLD);
      writer.int32(FIRST_REQUEST_ID + i);
      writer.textFrom(name, 0, name.length);
      writer.int32(1 + (i & 3));
      writer.int32(TTL_MS);
    }
    return writer.pos;
  };
  const commandBytes = commandWriter.u8.subarray(0, writeCommand());
  const writeReply = () => {
    const writer = replyWriter;
    writer.pos = 0;
    for (let i = 0; i < commands; i++) {
      writer.array(4);
      writer.int32(FIRST_REQUEST_ID + i);
      writer.int32(Status.OK);
      writer.uint64(HOLD_ID_WORD, i);
      writer.time(ENDS_AT_MS + i);
    }
    return writer.pos;
  };
  const replyBytes = replyWriter.u8.subarray(0, writeReply());
  const readCommand = () => {
    let sum = 0;
    cursor.reset(commandBytes, 0, commandBytes.length);
    while (cursor.pos < commandBytes.length) {
      const start = cursor.pos;
      if (peek.read(cursor) !== 0) throw new Error('a command could not be peeked');
      args.reset(commandBytes, start, peek.end);
      args.array();
      args.int32();
      args.uint53();
      sum = (sum + args.lo + args.text(MAX_SKU_BYTES) + args.int32() + args.int32()) | 0;
      if (args.fault !== 0) throw new Error('a command could not be read');
    }
    return sum;
  };
  const readReply = () => {
    let sum = 0;
    cursor.reset(replyBytes, 0, replyBytes.length);
    while (cursor.pos < replyBytes.length) {
      cursor.array();
      cursor.uint53();
      sum = (sum + cursor.lo + cursor.int32()) | 0;
      cursor.uint53();
      sum = (sum + cursor.hi + cursor.lo) | 0;
      cursor.uint53();
      sum = (sum + cursor.hi + cursor.lo) | 0;
    }
    if (cursor.fault !== 0) throw new Error('a reply could not be read');
    return sum;
  };
  return { writeCommand, writeReply, readCommand, readReply, commandBytes, replyBytes };
}

function msgpackrCodec(commands: number, { commandBytes, replyBytes }: Codec): Codec {
  const packr = new Packr({ useRecords: false });
  const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });
  const names = Array.from({ length: commands }, (_, i) => skuName(i));
  const readCommand = () => {
    let sum = 0;
    unpackr.unpackMultiple(commandBytes, (value) => {
      const [, id, sku, quantity, ttlMs] = value as [number, number, string, number, number];
      sum = (sum + id + sku.length + quantity + ttlMs) | 0;
    });
    return sum;
  };
  const readReply = () => {
    let sum = 0;
    unpackr.unpackMultiple(replyBytes, (value) => {
      const [id, status, holdId, endsAtMs] = value as [number, number, number, number];
      sum = (sum + id + status + Math.floor(holdId / 2 ** 32) + (holdId | 0)) | 0;
      sum = (sum + Math.floor(endsAtMs / 2 ** 32) + (endsAtMs | 0)) | 0;
    });
    return sum;
  };
  const writeCommand = () => {
    let bytes = 0;
    for (let i = 0; i < commands; i++) {
      bytes += packr.pack([Op.HOLD, FIRST_REQUEST_ID + i, names[i], 1 + (i & 3), TTL_MS]).length;
    }
    return bytes;
  };
  const writeReply = () => {
    let bytes = 0;
    for (let i = 0; i < commands; i++) {
      const holdId = HOLD_ID_WORD * 2 ** 32 + i;
      bytes += packr.pack([FIRST_REQUEST_ID + i, Status.OK, holdId, ENDS_AT_MS + i]).length;
    }
    return bytes;
  };
  return { writeCommand, writeReply, readCommand, readReply, commandBytes, replyBytes };
}
