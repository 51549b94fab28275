import type { AckLevel } from '../../protocol/ack.ts';
import {
  MAX_FRAME_BYTES,
  MAX_KEY_BYTES,
  MAX_QUANTITY,
  MAX_SKU_BYTES,
  MAX_TTL_MS,
  PROTOCOL_VERSION,
} from '../../protocol/limits.ts';
import { PUSH, Push } from '../../protocol/ops.ts';
import { Writer } from '../../protocol/writer.ts';
import { encode } from './message.ts';

/** `[0, HELLO, protocol version, server time in ms, acknowledgement level, limits]`, the first message on every connection. */
export class Hello {
  private readonly limits: Record<string, number>;
  private readonly ack: AckLevel;
  private readonly tail: Uint8Array;

  constructor(ack: AckLevel, segments: number, maxHoldLifeMs: number, fronts: number) {
    this.ack = ack;
    this.limits = {
      maxFrameBytes: MAX_FRAME_BYTES,
      maxSkuBytes: MAX_SKU_BYTES,
      maxKeyBytes: MAX_KEY_BYTES,
      maxQuantity: MAX_QUANTITY,
      maxTtlMs: Math.min(MAX_TTL_MS, maxHoldLifeMs),
      maxHoldLifeMs,
      segments,
      fronts,
    };
    const ackBytes = encode(ack);
    const limitBytes = encode(this.limits);
    this.tail = new Uint8Array(ackBytes.length + limitBytes.length);
    this.tail.set(ackBytes);
    this.tail.set(limitBytes, ackBytes.length);
  }

  bytes(nowMs: number): Uint8Array {
    const writer = new Writer(new Uint8Array(13 + this.tail.length));
    writer.array(6);
    writer.int32(PUSH);
    writer.int32(Push.HELLO);
    writer.int32(PROTOCOL_VERSION);
    writer.time(nowMs);
    writer.copy(this.tail, 0, this.tail.length);
    return writer.u8.subarray(0, writer.pos);
  }

  message(nowMs: number): unknown[] {
    return [PUSH, Push.HELLO, PROTOCOL_VERSION, nowMs, this.ack, this.limits];
  }
}
