import type { FileLayer } from './file-layer.ts';

/** Bytes asked for at a time, of a file that has as many: few calls, and not much memory. */
const BLOCK_BYTES = 4 << 20;
const SMALL_BYTES = 16 << 10;

/** A window over a file that slides forward, read in large blocks. */
export class FileWindow {
  u8 = new Uint8Array(SMALL_BYTES);
  i32 = new Int32Array(this.u8.buffer);
  /** Offset in the file of the views' first byte, a multiple of 8, and of the first byte that is not read. */
  #start = 0;
  #end = 0;
  readonly #layer: FileLayer;
  #fd = -1;

  constructor(layer: FileLayer) {
    this.#layer = layer;
  }

  /** Goes on with another file, from its start. */
  use(fd: number): void {
    this.#fd = fd;
    this.#start = 0;
    this.#end = 0;
    this.#widen(Math.min(this.#layer.size(fd), BLOCK_BYTES));
  }

  /** Byte index, in the views, of `bytes` at `offset`, a multiple of 8; -1 when the file ends before. Valid until the next call. */
  at(offset: number, bytes: number): number {
    if (offset < this.#start || offset + bytes > this.#end) this.#slide(offset, bytes);
    return offset + bytes <= this.#end ? offset - this.#start : -1;
  }

  /** Bytes that can be had at `offset` without reading. */
  ready(offset: number): number {
    return Math.max(0, this.#end - offset);
  }

  #slide(offset: number, bytes: number): void {
    const before = this.u8;
    this.#widen(bytes);
    const kept = offset >= this.#start && offset < this.#end ? this.#end - offset : 0;
    if (kept > 0) this.u8.set(before.subarray(offset - this.#start, this.#end - this.#start), 0);
    this.#start = offset;
    this.#end = offset + kept;
    while (this.#end - offset < this.u8.length) {
      const filled = this.#end - offset;
      const read = this.#layer.read(this.#fd, this.u8, filled, this.u8.length - filled, this.#end);
      if (read === 0) break;
      this.#end += read;
    }
  }

  /** Makes room for as many bytes in the views, which are new then. */
  #widen(bytes: number): void {
    if (bytes <= this.u8.length) return;
    this.u8 = new Uint8Array(2 ** Math.ceil(Math.log2(bytes)));
    this.i32 = new Int32Array(this.u8.buffer);
  }
}
