/**
 * What happened in a run: a hash of it, by which two runs of one seed are compared, and lines for whoever watches.
 * The lines are only made when there is somebody to read them.
 */
export class Trace {
  hash = 0x811c9dc5 | 0;
  private readonly print: ((line: string) => void) | undefined;

  constructor(print?: (line: string) => void) {
    this.print = print;
  }

  /** Notes that something happened, with its numbers. `words` gives the rest of the line. */
  note(what: string, numbers: readonly number[] = [], words?: () => string): void {
    for (let i = 0; i < what.length; i++) this.mix(what.charCodeAt(i));
    for (const number of numbers) {
      this.mix(number | 0);
      this.mix((number / 0x100000000) | 0);
    }
    this.print?.([what, ...numbers, words?.() ?? ''].join(' ').trimEnd());
  }

  /** Adds bytes to the hash only. */
  bytes(u8: Uint8Array): void {
    for (let i = 0; i < u8.length; i++) this.mix(u8[i]);
  }

  private mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193);
    this.hash ^= this.hash >>> 15;
  }
}
