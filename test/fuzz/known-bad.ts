/** A target that the fuzzer has to find fault with: the cursor takes any 64-bit integer for one of 32 bits. */
import { Cursor } from '../../protocol/cursor.ts';
import { fuzz as cursor } from './cursor.ts';

const { int32 } = Cursor.prototype;
Cursor.prototype.int32 = function (): number {
  const head = this.u8[this.pos];
  if (head !== 0xd3 || this.end - this.pos < 9) return int32.call(this);
  this.pos += 9;
  return 1;
};

export function fuzz(data: Buffer): void {
  cursor(data);
}
