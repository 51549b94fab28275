import { SkuHash, segmentOfHash } from '../../src/base/hash.ts';
import { DEFAULT_SEGMENT_OPTIONS, type SegmentOptions } from '../../src/core/layout.ts';
import type { Sink } from '../../src/front/connections.ts';
import { decodeAll, encode } from '../../src/front/message.ts';
import { allocateEngine, type EngineMemory, type EngineOptions, Lease } from '../../src/shard/memory.ts';
import type { Shard } from '../../src/shard/shard.ts';

/** The tests' time. */
export const NOW = 1_700_000_000_000;
export const HOLDER = { lo: 17, hi: 4 };

export interface EngineFixture extends Partial<Omit<EngineOptions, 'segment'>> {
  segment?: Partial<SegmentOptions>;
}

/** An engine's memory with small tables and the smallest rings that a server may be set to. */
export function makeMemory({ segment, ...overrides }: EngineFixture = {}): EngineMemory {
  return allocateEngine({
    fronts: 1,
    workers: 1,
    segments: 4,
    commandRingBytes: 65_536,
    replyRingBytes: 65_536,
    ...overrides,
    segment: { ...DEFAULT_SEGMENT_OPTIONS, skus: 64, holds: 1024, keys: 64, holders: 64, ...segment },
  });
}

/** A binary frame of commands, `[op, requestId, …args]` each. */
export function frameOf(...commands: unknown[][]): Uint8Array {
  return Uint8Array.from(Buffer.concat(commands.map(encode)));
}

/** A SKU that lives in a segment. */
export function skuIn(segment: number, segments: number): string {
  const hash = new SkuHash();
  for (let i = 0; ; i++) {
    const name = Buffer.from(`sku-${i}`);
    hash.run(name, 0, name.length);
    if (segmentOfHash(hash.hi, segments) === segment) return name.toString();
  }
}

/** Keeps what is sent to a connection. `onSend` is called for each frame when it is kept. */
export class RecordingSink implements Sink {
  /** Binary frames, as bytes and as the messages in them. */
  readonly bytes: Uint8Array[] = [];
  readonly frames: unknown[][] = [];
  readonly decoded: { mode: number; message: unknown[] }[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  onSend: () => void = () => {};

  send(frame: Uint8Array): void {
    this.bytes.push(Uint8Array.from(frame));
    this.frames.push(decodeAll(frame));
    this.onSend();
  }

  sendDecoded(mode: number, message: unknown[]): void {
    this.decoded.push({ mode, message });
    this.onSend();
  }

  close(code: number, reason: string): void {
    this.closes.push({ code, reason });
  }

  /** All messages of all frames, in order. */
  get messages(): unknown[] {
    return this.frames.flat();
  }
}

/** Does what a worker's thread does until nothing waits. Returns how many commands that were. */
export function work(shard: Shard, nowMs = NOW): number {
  if (!shard.acquire(Lease.WORKER)) throw new Error('somebody else has the lease');
  let done = 0;
  for (let ran = -1; ran !== 0; done += ran) ran = shard.runCommands(nowMs, 100_000);
  shard.runExpiry(nowMs, 100_000);
  shard.release();
  return done;
}
