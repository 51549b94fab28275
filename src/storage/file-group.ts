import { assert } from '../base/assert.ts';
import {
  FRAME_HEADER_BYTES,
  FrameType,
  frameBodyBytes,
  frameType,
  growFrame,
  MAX_BODY_BYTES,
  sealFrame,
  startFrame,
} from './file-frames.ts';
import type { LastLsns } from './file-last-lsns.ts';

/** Lots that are added one after the other share a frame up to this size: few headers, and a frame that a cache can take. */
const SHARED_BODY_BYTES = 1 << 20;
/** Bytes reserved at first; as many as the largest group needed from then on. */
const FIRST_BYTES = 16 << 10;

/**
 * A group of events on its way to the journal: whole frames in one buffer, so that they go out in one write. Frames are numbered and
 * sealed only when they are written; what was sealed stays as it is, however often the write is tried.
 */
export class FrameGroup {
  u8 = new Uint8Array(FIRST_BYTES);
  i32 = new Int32Array(this.u8.buffer);
  /** Bytes in use. */
  bytes = 0;
  /** Bytes of frames that are sealed. */
  #sealed = 0;
  /** Start of the frame that is being filled; -1 without one. */
  #open = -1;
  #openBytes = 0;
  /** Number of the last sealed frame. */
  #last = 0;

  /** Adds whole events, in a frame with those before or one of its own. */
  add(u8: Uint8Array, start: number, end: number): void {
    const bytes = end - start;
    assert(bytes > 0 && (bytes & 7) === 0, 'events come in multiples of 8 bytes');
    assert(bytes <= MAX_BODY_BYTES, `a lot of events has at most ${MAX_BODY_BYTES} bytes`);
    if (this.#open < 0 || this.#openBytes + bytes > SHARED_BODY_BYTES) this.#begin(FrameType.EVENTS);
    this.#append(u8.subarray(start, end));
  }

  /** Adds a frame that holds no events. */
  addFrame(type: number, body: Uint8Array): void {
    this.#begin(type);
    this.#append(body);
    this.#open = -1;
  }

  /** Numbers and seals what is not yet sealed, from `sequence` + 1 on; returns the number of the last frame. */
  seal(sequence: number, synced: number, seed: number): number {
    if (!this.hasSealed) this.#last = sequence;
    while (this.#sealed < this.bytes) {
      this.#sealed += sealFrame(this.i32, this.#sealed >>> 2, ++this.#last, synced, seed);
    }
    this.#open = -1;
    return this.#last;
  }

  get hasSealed(): boolean {
    return this.#sealed > 0;
  }

  /** Tells of the events in the group, of each segment in order. */
  follow(lsns: LastLsns): void {
    for (let at = 0; at < this.bytes; ) {
      const body = at + FRAME_HEADER_BYTES;
      const end = body + frameBodyBytes(this.i32, at >>> 2);
      if (frameType(this.i32, at >>> 2) === FrameType.EVENTS) lsns.follow(this.i32, body >>> 2, end >>> 2);
      at = end;
    }
  }

  clear(): void {
    this.bytes = 0;
    this.#sealed = 0;
    this.#open = -1;
  }

  #begin(type: number): void {
    this.#reserve(FRAME_HEADER_BYTES);
    this.#open = this.bytes;
    this.#openBytes = 0;
    this.bytes += FRAME_HEADER_BYTES;
    startFrame(this.i32, this.#open >>> 2, type);
  }

  /** Puts bytes behind those of the open frame. */
  #append(body: Uint8Array): void {
    this.#reserve(body.length);
    this.u8.set(body, this.bytes);
    this.bytes += body.length;
    this.#openBytes += body.length;
    growFrame(this.i32, this.#open >>> 2, this.#openBytes);
  }

  #reserve(bytes: number): void {
    if (this.bytes + bytes <= this.u8.length) return;
    const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.bytes + bytes)));
    larger.set(this.u8.subarray(0, this.bytes));
    this.u8 = larger;
    this.i32 = new Int32Array(larger.buffer);
  }
}
