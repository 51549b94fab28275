import { Packr, Unpackr } from 'msgpackr';
import { Cursor } from '../../protocol/cursor.ts';

/** A stranger's MessagePack: what any client may send and has to be able to read. */
const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });

/** One encoded value in a buffer of its own; msgpackr returns slices of a shared one. */
export function pack(value: unknown): Uint8Array {
  return Uint8Array.from(packr.pack(value));
}

export function unpack(bytes: Uint8Array): unknown {
  return unpackr.unpack(bytes);
}

/** Bytes of hexadecimal text; anything between the digits is passed over. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/[^0-9a-f]/gi, ''), 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/..(?!$)/g, '$& ');
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

export function repeated(part: string, times: number, last = ''): Uint8Array {
  return hex(part.repeat(times) + last);
}

export function cursorOver(bytes: Uint8Array, end = bytes.length): Cursor {
  const cursor = new Cursor();
  cursor.reset(bytes, 0, end);
  return cursor;
}

export interface Watched {
  readonly bytes: Uint8Array;
  /** Single bytes read so far. */
  readonly reads: number;
}

/** Bytes that count how often they are read, and throw when read at or past `end` or before the start. */
export function watched(bytes: Uint8Array, end = bytes.length): Watched {
  const watch = { bytes, reads: 0 };
  watch.bytes = new Proxy(bytes, {
    get(target, property) {
      if (typeof property === 'string' && /^-?\d+$/.test(property)) {
        const at = Number(property);
        if (at < 0 || at >= end) throw new Error(`read at ${at} of ${end}`);
        watch.reads++;
        return target[at];
      }
      return Reflect.get(target, property, target);
    },
  });
  return watch;
}

/** Every format of an integer: its name, its format byte, its bytes, and the values it can carry. */
const INTEGER_FORMATS = [
  { name: 'uint8', head: 0xcc, bytes: 1, min: 0n, max: 2n ** 8n - 1n },
  { name: 'uint16', head: 0xcd, bytes: 2, min: 0n, max: 2n ** 16n - 1n },
  { name: 'uint32', head: 0xce, bytes: 4, min: 0n, max: 2n ** 32n - 1n },
  { name: 'uint64', head: 0xcf, bytes: 8, min: 0n, max: 2n ** 64n - 1n },
  { name: 'int8', head: 0xd0, bytes: 1, min: -(2n ** 7n), max: 2n ** 7n - 1n },
  { name: 'int16', head: 0xd1, bytes: 2, min: -(2n ** 15n), max: 2n ** 15n - 1n },
  { name: 'int32', head: 0xd2, bytes: 4, min: -(2n ** 31n), max: 2n ** 31n - 1n },
  { name: 'int64', head: 0xd3, bytes: 8, min: -(2n ** 63n), max: 2n ** 63n - 1n },
] as const;

export interface EncodedInteger {
  readonly format: string;
  readonly value: bigint;
  readonly bytes: Uint8Array;
}

/** A whole number in every format that can carry it exactly, floats included. */
export function integerEncodings(value: bigint): EncodedInteger[] {
  const encodings: EncodedInteger[] = [];
  if (value >= -32n && value <= 127n) {
    encodings.push({ format: 'fixint', value, bytes: Uint8Array.of(Number(value) & 0xff) });
  }
  for (const { name, head, bytes, min, max } of INTEGER_FORMATS) {
    if (value < min || value > max) continue;
    const encoded = Buffer.alloc(9);
    encoded.writeBigUInt64BE(BigInt.asUintN(64, value << BigInt(64 - bytes * 8)), 1);
    encoded[0] = head;
    encodings.push({ format: name, value, bytes: Uint8Array.from(encoded.subarray(0, 1 + bytes)) });
  }
  const double = Number(value);
  if (BigInt(double) !== value) return encodings;
  encodings.push({ format: 'float64', value, bytes: float64(double) });
  if (Math.fround(double) === double) encodings.push({ format: 'float32', value, bytes: float32(double) });
  return encodings;
}

export function float32(value: number): Uint8Array {
  const bytes = Buffer.alloc(5);
  bytes.writeFloatBE(value, 1);
  bytes[0] = 0xca;
  return Uint8Array.from(bytes);
}

export function float64(value: number): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes.writeDoubleBE(value, 1);
  bytes[0] = 0xcb;
  return Uint8Array.from(bytes);
}

/** Whole numbers at and around both ends of every format, and of what the protocol can read. */
export const BOUNDARY_INTEGERS: readonly bigint[] = [
  ...new Set(
    [
      0n,
      -32n,
      127n,
      -(2n ** 53n),
      2n ** 24n,
      2n ** 53n - 1n,
      ...INTEGER_FORMATS.flatMap(({ min, max }) => [min, max]),
    ].flatMap((edge) => [edge - 1n, edge, edge + 1n]),
  ),
].sort((a, b) => Number(a - b));
