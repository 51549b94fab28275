import { createHmac } from 'node:crypto';

/** The holder of those who give no name, where names are believed. */
export const ANONYMOUS = 'anonymous';

/**
 * Turns an authenticated subject into the two words by which the segments know a holder: the first 64 bits of
 * HMAC-SHA-256 under a secret, so that nobody can aim for another's holds by choosing a name.
 */
export class HolderHash {
  lo = 0;
  hi = 0;
  private readonly secret: Uint8Array;

  constructor(secret: Uint8Array) {
    this.secret = secret;
  }

  /** Leaves the words in `lo` and `hi`. They are never 0 and 0, which stand for any holder: one in 2^64 subjects gets 1 and 0 instead. */
  run(subject: string): void {
    const digest = createHmac('sha256', this.secret).update(subject, 'utf8').digest();
    this.setWords(digest.readInt32LE(0), digest.readInt32LE(4));
  }

  /** For run(), and for a test: no subject is known whose digest begins with eight zeroes. */
  setWords(lo: number, hi: number): void {
    this.lo = (lo | hi) === 0 ? 1 : lo;
    this.hi = hi;
  }
}

/** What logs call a holder: 12 hexadecimal digits of the hash, the same for a holder as long as the store lives. */
export function holderTag(lo: number, hi: number): string {
  const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
  return `${hex(hi)}${hex(lo)}`.slice(0, 12);
}
