/** Bytes of frames that are kept for one connection, and for all of a front, while tokens are looked at. */
export const MAX_HELD_BYTES = 131_072;
export const MAX_HELD_BYTES_IN_ALL = 33_554_432;

/** What a frame costs besides its bytes. */
const FRAME_BYTES = 128;

/** A front's frames that wait in all. */
export class HeldBytes {
  count = 0;
}

/** Frames that came over a connection before its token was looked at, in order. */
export class HeldFrames {
  private readonly frames: { bytes: Uint8Array; isBinary: boolean }[] = [];
  private readonly all: HeldBytes;
  private bytes = 0;

  constructor(all: HeldBytes) {
    this.all = all;
  }

  /** Keeps a copy. False when there is no room for it. */
  add(frame: ArrayBuffer, isBinary: boolean): boolean {
    const bytes = frame.byteLength + FRAME_BYTES;
    if (this.bytes + bytes > MAX_HELD_BYTES || this.all.count + bytes > MAX_HELD_BYTES_IN_ALL) return false;
    this.bytes += bytes;
    this.all.count += bytes;
    this.frames.push({ bytes: new Uint8Array(frame.slice(0)), isBinary });
    return true;
  }

  /** Forgets them all, and returns them. */
  take(): readonly { bytes: Uint8Array; isBinary: boolean }[] {
    this.all.count -= this.bytes;
    this.bytes = 0;
    return this.frames.splice(0);
  }
}
