import type { Algorithm } from './algorithms.ts';
import { AuthSetupError } from './identity.ts';
import { importKeys, type VerifyKey } from './key-import.ts';
import type { KeySource, OnNote } from './key-source.ts';
import { WatchedFile } from './watched-file.ts';

/** Keys of a file. A change of the file is taken over within a second; one that cannot be used changes nothing and is said. */
export class FileKeys implements KeySource {
  readonly known = true;
  keys: readonly VerifyKey[] = [];
  private readonly file: WatchedFile;
  private readonly allowed: readonly Algorithm[];
  private readonly onNote: OnNote;
  private reading: Promise<void> | undefined;
  private problem = '';

  private constructor(file: WatchedFile, allowed: readonly Algorithm[], onNote: OnNote) {
    this.file = file;
    this.allowed = allowed;
    this.onNote = onNote;
  }

  /** Throws AuthSetupError when the file cannot be read or has no key that can be used. */
  static async open(
    path: string,
    allowed: readonly Algorithm[],
    onNote: OnNote,
    elapsedMs: () => number,
  ): Promise<FileKeys> {
    const source = new FileKeys(new WatchedFile(path, elapsedMs), allowed, onNote);
    try {
      await source.read();
    } catch (error) {
      throw new AuthSetupError(source.sentence(error));
    }
    return source;
  }

  async refresh(): Promise<void> {
    if (this.reading === undefined && !this.file.due) return;
    this.reading ??= this.readAgain().finally(() => {
      this.reading = undefined;
    });
    await this.reading;
  }

  async lookAgain(): Promise<boolean> {
    return false;
  }

  private async read(): Promise<boolean> {
    const content = await this.file.readIfChanged();
    if (content === undefined) return false;
    this.keys = await importKeys(content, this.allowed);
    return true;
  }

  private async readAgain(): Promise<void> {
    try {
      if (!(await this.read())) return;
      this.problem = '';
      this.onNote({ level: 'info', message: `The key file ${this.file.path} was read again.` });
    } catch (error) {
      const problem = this.sentence(error);
      if (problem !== this.problem) {
        this.onNote({ level: 'warn', message: `${problem} The keys from before stay in force.` });
      }
      this.problem = problem;
    }
  }

  private sentence(error: unknown): string {
    return `The key file ${this.file.path} cannot be used: ${(error as Error).message}.`;
  }
}
