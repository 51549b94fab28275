import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { median } from '../stats.ts';

/** What the stores lay on. */
export interface Disk {
  /** As the kernel names its kind: ext4, xfs, tmpfs, … */
  readonly fileSystem: string;
  readonly device: string;
  /** False for a file system that is in memory: then a sync costs nothing and means nothing. */
  readonly real: boolean;
  /**
   * What one fdatasync behind a write of 4 KiB took between the benchmarks, with no server running, µs: the median, and the longest. Others
   * who sync meanwhile show here.
   */
  readonly syncUs: number;
  readonly longestSyncUs: number;
}

interface Mount {
  readonly point: string;
  readonly type: string;
  readonly device: string;
}

const IN_MEMORY = new Set(['tmpfs', 'ramfs', 'devtmpfs']);
const WHOLLY = { recursive: true, force: true } as const;
const SYNCS = 40;
const SYNCED_BYTES = 4096;

/** A temporary directory for stores, which is removed with all that is in it; with the process at the latest. */
export class Place {
  readonly directory: string;
  private readonly mount: Mount;
  private readonly syncsUs: number[] = [];
  private stores = 0;
  // A server that was killed a moment ago may still be making files.
  private readonly removeAtExit = () => rmSync(this.directory, { ...WHOLLY, maxRetries: 5, retryDelay: 50 });

  /** @param under directory to make it in; unless given, the first of the usual ones that is on a disk */
  constructor(under: string = usualPlace()) {
    this.directory = mkdtempSync(join(resolve(under), 'holdfast-bench-'));
    process.once('exit', this.removeAtExit);
    this.mount = mountOf(this.directory, mounts());
    this.clear();
  }

  get disk(): Disk {
    const { type, device } = this.mount;
    return {
      fileSystem: type,
      device,
      real: !IN_MEMORY.has(type),
      syncUs: Math.round(median(this.syncsUs)),
      longestSyncUs: Math.round(Math.max(...this.syncsUs)),
    };
  }

  /** A directory of its own, which is not made yet. */
  next(): string {
    return join(this.directory, `store-${++this.stores}`);
  }

  /** Removes the stores that there were, so that no more disk is used than one benchmark needs, and tries the disk. */
  clear(): void {
    for (const name of readdirSync(this.directory)) rmSync(join(this.directory, name), WHOLLY);
    this.syncsUs.push(...timeSyncs(this.directory));
  }

  remove(): void {
    process.removeListener('exit', this.removeAtExit);
    this.removeAtExit();
  }
}

/** Temporary files are kept in memory on some machines, which would make a sync free. */
function usualPlace(): string {
  const found = mounts();
  return [tmpdir(), '/var/tmp'].find((path) => !IN_MEMORY.has(mountOf(path, found).type)) ?? tmpdir();
}

/** The mount that a path lies in: of those whose point leads to it the longest, and the last of these. */
export function mountOf(path: string, found: readonly Mount[]): Mount {
  const holds = ({ point }: Mount) =>
    path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`);
  const [first, ...others] = found.filter(holds);
  if (first === undefined) return { point: '/', type: 'unknown', device: 'unknown' };
  return others.reduce((best, mount) => (mount.point.length >= best.point.length ? mount : best), first);
}

/** Reads the lines of /proc/self/mountinfo: `ID PARENT DEV ROOT POINT OPTIONS … - TYPE DEVICE …`. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ');
    const point = left?.split(' ')[4];
    const [type, device] = right?.split(' ') ?? [];
    return point && type && device ? [{ point: unescaped(point), type, device }] : [];
  });
}

/** Spaces and the like in a path are written as three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function mounts(): Mount[] {
  try {
    return parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  } catch {
    return [];
  }
}

/** Times in µs. Writes into a file of its full length, as the journal is written. */
function timeSyncs(directory: string): number[] {
  const path = join(directory, 'syncs');
  const fd = openSync(path, 'wx+');
  try {
    ftruncateSync(fd, SYNCS * SYNCED_BYTES);
    const bytes = new Uint8Array(SYNCED_BYTES).fill(1);
    const times: number[] = [];
    for (let i = 0; i < SYNCS; i++) {
      const startMs = performance.now();
      writeSync(fd, bytes, 0, SYNCED_BYTES, i * SYNCED_BYTES);
      fdatasyncSync(fd);
      times.push((performance.now() - startMs) * 1000);
    }
    return times;
  } finally {
    closeSync(fd);
    rmSync(path);
  }
}
