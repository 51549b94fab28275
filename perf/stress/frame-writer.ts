import { Op } from '../../protocol/ops.ts';
import { SKU_DIGITS } from '../load/frames.ts';

/** A frame's header at its longest here: two bytes, two of length, four of key. */
const HEAD_BYTES = 8;
/** A HOLD takes 4 + 1 + prefix + 7 + up to 8 bytes; what ends one takes 16. */
const MOST_COMMAND_BYTES = 64;

/**
 * Writes masked WebSocket frames of commands, one behind the other, into one buffer. The masking key is zero, which is legal and leaves the
 * payload as it is. Request ids are from 65,536 to 2^32 - 1, so that each takes five bytes.
 */
export class FrameWriter {
  readonly u8: Buffer;
  /** End of the last frame. */
  pos = 0;
  private frame = 0;
  private readonly prefix: Buffer;

  /** @param prefix of SKU names, at most 20 bytes of ASCII */
  constructor(prefix: string, bytes: number) {
    this.prefix = Buffer.from(prefix, 'latin1');
    this.u8 = Buffer.allocUnsafeSlow(bytes);
  }

  /** Whether a frame of so many commands fits behind what is there. */
  hasRoom(commands: number): boolean {
    return this.pos + HEAD_BYTES + commands * MOST_COMMAND_BYTES <= this.u8.length;
  }

  begin(): void {
    this.frame = this.pos;
    this.pos += HEAD_BYTES;
  }

  /** HOLD of one unit. */
  hold(id: number, sku: number, ttlMs: number): void {
    const { u8, prefix } = this;
    let at = this.pos;
    u8[at++] = 0x95;
    u8[at++] = Op.HOLD;
    at = this.id(at, id);
    u8[at++] = 0xa0 | (prefix.length + SKU_DIGITS);
    for (let i = 0; i < prefix.length; i++) u8[at++] = prefix[i];
    let rest = sku;
    for (let digit = SKU_DIGITS - 1; digit >= 0; digit--) {
      const tenth = (rest / 10) | 0;
      u8[at + digit] = 0x30 + rest - tenth * 10;
      rest = tenth;
    }
    at += SKU_DIGITS;
    u8[at++] = 1;
    u8[at++] = 0xce;
    u8[at++] = ttlMs >>> 24;
    u8[at++] = ttlMs >>> 16;
    u8[at++] = ttlMs >>> 8;
    u8[at++] = ttlMs;
    this.pos = at;
  }

  /** CONFIRM or RELEASE of a whole hold. */
  end(op: number, id: number, holdHi: number, holdLo: number): void {
    const { u8 } = this;
    let at = this.pos;
    u8[at++] = 0x93;
    u8[at++] = op;
    at = this.id(at, id);
    u8[at++] = 0xcf;
    for (let shift = 24; shift >= 0; shift -= 8) u8[at++] = holdHi >>> shift;
    for (let shift = 24; shift >= 0; shift -= 8) u8[at++] = holdLo >>> shift;
    this.pos = at;
  }

  /** Closes the frame. A short payload has a shorter header, so it moves up. */
  finish(): void {
    const { u8, frame } = this;
    const length = this.pos - frame - HEAD_BYTES;
    u8[frame] = 0x82;
    let at = frame + 2;
    if (length < 126) {
      u8[frame + 1] = 0x80 | length;
      u8.copyWithin(frame + 6, frame + HEAD_BYTES, this.pos);
      this.pos -= 2;
    } else {
      u8[frame + 1] = 0xfe;
      u8[at++] = length >>> 8;
      u8[at++] = length;
    }
    for (let i = 0; i < 4; i++) u8[at++] = 0;
  }

  private id(at: number, id: number): number {
    const { u8 } = this;
    u8[at] = 0xce;
    u8[at + 1] = id >>> 24;
    u8[at + 2] = id >>> 16;
    u8[at + 3] = id >>> 8;
    u8[at + 4] = id;
    return at + 5;
  }
}
