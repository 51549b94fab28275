import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { crc32c } from './crc32c.ts';
import { writeAll } from './file-cut.ts';
import { FORMAT_VERSION } from './file-frames.ts';
import type { FileLayer } from './file-layer.ts';
import { StoreError, type StoreIdentity } from './store.ts';

const MANIFEST = 'manifest';
const MAX_BYTES = 4096;

/** What a new store knows itself by. */
export function drawIdentity(segments: number): StoreIdentity {
  return {
    id: randomBytes(16).toString('hex'),
    segments,
    secret: new Uint8Array(randomBytes(32)),
    fresh: true,
  };
}

/** Reads a store's manifest; undefined where there is none. Throws StoreError CORRUPT or INCOMPATIBLE. */
export function readManifest(layer: FileLayer, directory: string): StoreIdentity | undefined {
  const path = join(directory, MANIFEST);
  if (!layer.exists(path)) return undefined;
  return decodeManifest(readSmallFile(layer, path), path);
}

/** Writes the manifest: there whole, and durable, or not at all. */
export function writeManifest(layer: FileLayer, directory: string, identity: StoreIdentity): void {
  replaceFile(layer, directory, MANIFEST, encodeManifest(identity));
}

/** A line of JSON, and one with its checksum. */
function encodeManifest({ id, segments, secret }: StoreIdentity): Uint8Array {
  const json = JSON.stringify({
    format: FORMAT_VERSION,
    id,
    segments,
    secret: Buffer.from(secret).toString('hex'),
  });
  const crc = (crc32c(Buffer.from(json)) >>> 0).toString(16).padStart(8, '0');
  return Buffer.from(`${json}\ncrc32c ${crc}\n`);
}

function decodeManifest(bytes: Uint8Array, path: string): StoreIdentity {
  const damaged = new StoreError(
    'CORRUPT',
    `${path}: it is not what was written. Restore it from a copy: without its secret, nobody's holds would be theirs.`,
  );
  let format: unknown;
  let identity: StoreIdentity;
  try {
    const [line, ...rest] = Buffer.from(bytes).toString().split('\n');
    const { format: f, id, segments, secret } = JSON.parse(line);
    format = f;
    const crc = (crc32c(Buffer.from(line)) >>> 0).toString(16).padStart(8, '0');
    if (rest.join('\n') !== `crc32c ${crc}\n`) throw damaged;
    identity = { id, segments, secret: new Uint8Array(Buffer.from(secret, 'hex')), fresh: false };
  } catch {
    throw damaged;
  }
  if (format !== FORMAT_VERSION) {
    throw new StoreError(
      'INCOMPATIBLE',
      `${path}: its format is version ${format}, and this is version ${FORMAT_VERSION}. Use the version of Holdfast that wrote it.`,
    );
  }
  return identity;
}

/** All of a file of a few lines. */
export function readSmallFile(layer: FileLayer, path: string): Uint8Array {
  const fd = layer.open(path, 'r');
  try {
    const u8 = new Uint8Array(MAX_BYTES);
    return u8.subarray(0, layer.read(fd, u8, 0, MAX_BYTES, 0));
  } finally {
    layer.close(fd);
  }
}

/** Ends the names of files that are being written, which mean nothing after a crash. */
export const UNFINISHED = '.tmp';

/** Puts a file with these bytes in its place in one step, durable when it returns. */
export function replaceFile(
  layer: FileLayer,
  directory: string,
  name: string,
  bytes: Uint8Array,
  beforeRename?: () => void,
): void {
  const path = join(directory, name);
  const unfinished = path + UNFINISHED;
  if (layer.exists(unfinished)) layer.unlink(unfinished);
  const fd = layer.open(unfinished, 'wx+');
  try {
    writeAll(layer, fd, bytes, 0, bytes.length, 0);
    layer.fdatasync(fd);
  } catch (error) {
    layer.unlink(unfinished);
    throw error;
  } finally {
    layer.close(fd);
  }
  beforeRename?.();
  layer.rename(unfinished, path);
  layer.syncDirectory(directory);
}
