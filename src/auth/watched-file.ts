import { readFile, stat } from 'node:fs/promises';

/** How often a file is looked at. */
const LOOK_EVERY_MS = 500;
/** A file of keys or revocations is never longer. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/** A file that is read again when it has changed: another inode, size or time. Nothing runs between two looks. */
export class WatchedFile {
  readonly path: string;
  private readonly elapsedMs: () => number;
  /** What a file that is not there has; undefined where it must be there. */
  private readonly absent: string | undefined;
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private seen = '';

  constructor(path: string, elapsedMs: () => number, absent?: string) {
    this.path = path;
    this.elapsedMs = elapsedMs;
    this.absent = absent;
  }

  /** Whether the last look is long enough ago. */
  get due(): boolean {
    return this.elapsedMs() - this.lookedAtMs >= LOOK_EVERY_MS;
  }

  /**
   * The content if it is another than at the last look, or `anyway`, else undefined. Throws what the file system says.
   */
  async readIfChanged(anyway = false): Promise<Buffer | undefined> {
    this.lookedAtMs = this.elapsedMs();
    const { now, bytes } = await this.look();
    if (now === this.seen && !anyway) return undefined;
    if (bytes > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    const content = now === ABSENT ? Buffer.from(this.absent as string) : await readFile(this.path);
    this.seen = now;
    return content;
  }

  private async look(): Promise<{ now: string; bytes: bigint }> {
    try {
      const { ino, size, mtimeNs } = await stat(this.path, { bigint: true });
      return { now: `${ino} ${size} ${mtimeNs}`, bytes: size };
    } catch (error) {
      if (this.absent === undefined || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return { now: ABSENT, bytes: 0n };
    }
  }
}

const ABSENT = 'absent';
