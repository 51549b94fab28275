import { AuthSetupError, type Identity } from './identity.ts';
import type { OnNote } from './key-source.ts';
import { replaceFile, withFileLock } from './replace-file.ts';
import { mergeRevocations, parseRevocations, type Revocation, RevocationIndex } from './revocation-list.ts';
import { WatchedFile } from './watched-file.ts';

export interface RevocationSurroundings {
  readonly nowMs: () => number;
  readonly elapsedMs: () => number;
  readonly onNote: OnNote;
}

/**
 * The tokens that are refused although they are valid, kept in a file that every thread and every server may share: it is read
 * again within a second of a change, also one by hand. A file that cannot be read then changes nothing and is said.
 */
export class Revocations {
  /** Counts up when the list changes, so that whoever has live sessions knows when to ask again. */
  revision = 0;
  private readonly file: WatchedFile | undefined;
  private readonly surroundings: RevocationSurroundings;
  private index = new RevocationIndex([]);
  private reading: Promise<void> | undefined;
  private problem = '';

  private constructor(path: string, surroundings: RevocationSurroundings) {
    this.file = path === '' ? undefined : new WatchedFile(path, surroundings.elapsedMs, '{"revocations":[]}');
    this.surroundings = surroundings;
  }

  /** Throws AuthSetupError for a file that is there and cannot be used. One that is not there is an empty one. */
  static async open(path: string, surroundings: RevocationSurroundings): Promise<Revocations> {
    const revocations = new Revocations(path, surroundings);
    try {
      await revocations.read();
    } catch (error) {
      throw new AuthSetupError(revocations.sentence(error));
    }
    return revocations;
  }

  get count(): number {
    return this.index.count;
  }

  isRevoked(identity: Pick<Identity, 'subject' | 'tokenId' | 'issuedAtMs'>): boolean {
    return this.index.has(identity);
  }

  /** Looks at the file if the last look is a second ago or more. Call it from time to time where sessions live long. */
  async refresh(): Promise<void> {
    if (this.reading === undefined && this.file?.due !== true) return;
    this.reading ??= this.readAgain().finally(() => {
      this.reading = undefined;
    });
    await this.reading;
  }

  /**
   * Revokes; resolves when it is on the disk. Entries whose time is over are left out of the file by the way. Throws
   * AuthSetupError when there is no file to keep it in, or no room in it.
   */
  async add(revocation: Revocation): Promise<void> {
    const { file, surroundings } = this;
    if (file === undefined) {
      throw new AuthSetupError('Nothing can be revoked without a file to keep it in: set authRevocations.');
    }
    await withFileLock(file.path, async () => {
      // Another thread or server may have written since the last look; and what cannot be read must not be written over.
      await this.read(true);
      const list = mergeRevocations(this.index.entries(), revocation, surroundings.nowMs());
      await replaceFile(file.path, `${JSON.stringify({ revocations: list }, null, 1)}\n`);
      await this.read();
    });
  }

  private async read(anyway = false): Promise<boolean> {
    const content = await this.file?.readIfChanged(anyway);
    if (content === undefined) return false;
    this.index = new RevocationIndex(parseRevocations(content, this.surroundings.nowMs()));
    this.revision++;
    return true;
  }

  private async readAgain(): Promise<void> {
    try {
      const changed = await this.read();
      if (changed) this.problem = '';
    } catch (error) {
      const problem = this.sentence(error);
      if (problem !== this.problem) {
        this.surroundings.onNote({
          level: 'warn',
          message: `${problem} The revocations from before stay in force.`,
        });
      }
      this.problem = problem;
    }
  }

  private sentence(error: unknown): string {
    return `The file of revocations ${this.file?.path} cannot be used: ${(error as Error).message}.`;
  }
}
