import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { Packr } from 'msgpackr';
import { crc32c } from './crc32c.ts';
import { StoreError } from './store.ts';

/** A segment at one LSN, as it is kept. README.md has the bytes. */
export interface Snapshot {
  /** Id of the store that it belongs to. */
  readonly store: string;
  readonly segment: number;
  readonly lsn: number;
  /** The segment's time, ms since the epoch. */
  readonly timeMs: number;
  readonly image: Int32Array;
}

export const SNAPSHOT_VERSION = 1;

/** "HFSN", read as a little-endian word. */
const MAGIC = 0x4e534648;
/** Word offsets. */
const Field = { MAGIC: 0, CRC: 1, VERSION: 2, HEAD_BYTES: 3, BODY_BYTES: 4, IMAGE_BYTES: 5 } as const;
const PREFIX_BYTES = 24;
/** A segment of the largest settings has less. */
const MAX_IMAGE_BYTES = 2 ** 30;
/** Measured on tables like a segment's: some 750 MB/s; the default, level 3, takes twice as long for no fewer bytes. */
const LEVEL = 1;

const packr = new Packr({ useRecords: false });

/** The bytes of a snapshot: prefix, head (msgpack), compressed image, all under one checksum. */
export function encodeSnapshot({ store, segment, lsn, timeMs, image }: Snapshot): Uint8Array {
  const head = packr.pack({ store, segment, lsn, timeMs });
  // zstd wants memory of its own.
  const plain = image.buffer instanceof SharedArrayBuffer ? image.slice() : image;
  const body = zstdCompressSync(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength), {
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
  });
  const bytes = new Uint8Array(PREFIX_BYTES + head.length + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(Field.MAGIC * 4, MAGIC, true);
  view.setUint32(Field.VERSION * 4, SNAPSHOT_VERSION, true);
  view.setUint32(Field.HEAD_BYTES * 4, head.length, true);
  view.setUint32(Field.BODY_BYTES * 4, body.length, true);
  view.setUint32(Field.IMAGE_BYTES * 4, image.byteLength, true);
  bytes.set(head, PREFIX_BYTES);
  bytes.set(body, PREFIX_BYTES + head.length);
  view.setInt32(Field.CRC * 4, crc32c(bytes.subarray(Field.VERSION * 4)), true);
  return bytes;
}

/**
 * The snapshot in the bytes, its image in memory of its own. Throws StoreError CORRUPT when they are not what was written, INCOMPATIBLE
 * when another version wrote them, or when they are not of the given store.
 */
export function decodeSnapshot(bytes: Uint8Array, store?: string): Snapshot {
  const { head, body, imageBytes } = open(bytes);
  try {
    const plain = zstdDecompressSync(body, { maxOutputLength: Math.max(imageBytes, 1) });
    if (plain.length !== imageBytes)
      throw new Error(`the image has ${plain.length} bytes, not ${imageBytes}`);
    const image = new Int32Array(imageBytes / 4);
    new Uint8Array(image.buffer).set(plain);
    const { store: of, segment, lsn, timeMs } = packr.unpack(head) as Omit<Snapshot, 'image'>;
    if (store !== undefined && of !== store) {
      throw new StoreError('INCOMPATIBLE', `The snapshot belongs to another store (${of}, not ${store}).`);
    }
    return { store: of, segment, lsn, timeMs, image };
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError('CORRUPT', `The snapshot cannot be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

/** Checks everything that can be checked without reading what is inside. */
function open(bytes: Uint8Array): { head: Uint8Array; body: Uint8Array; imageBytes: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < PREFIX_BYTES || view.getUint32(Field.MAGIC * 4, true) !== MAGIC) {
    throw new StoreError('CORRUPT', `The snapshot's ${bytes.length} bytes do not begin as one.`);
  }
  const version = view.getUint32(Field.VERSION * 4, true);
  if (view.getInt32(Field.CRC * 4, true) !== crc32c(bytes.subarray(Field.VERSION * 4))) {
    throw new StoreError('CORRUPT', "The snapshot's checksum does not match its bytes.");
  }
  if (version !== SNAPSHOT_VERSION) {
    throw new StoreError(
      'INCOMPATIBLE',
      `The snapshot's format is version ${version}, and this is version ${SNAPSHOT_VERSION}.`,
    );
  }
  const headEnd = PREFIX_BYTES + view.getUint32(Field.HEAD_BYTES * 4, true);
  const bodyEnd = headEnd + view.getUint32(Field.BODY_BYTES * 4, true);
  const imageBytes = view.getUint32(Field.IMAGE_BYTES * 4, true);
  if (bodyEnd !== bytes.length || imageBytes > MAX_IMAGE_BYTES || imageBytes % 4 !== 0) {
    throw new StoreError('CORRUPT', "The snapshot's lengths do not fit its bytes.");
  }
  return { head: bytes.subarray(PREFIX_BYTES, headEnd), body: bytes.subarray(headEnd, bodyEnd), imageBytes };
}
