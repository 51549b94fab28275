import { createHmac } from 'node:crypto';

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

  /** Leaves the words in `lo` and `hi`. */
  run(subject: string): void {
    const digest = createHmac('sha256', this.secret).update(subject, 'utf8').digest();
    this.lo = digest.readInt32LE(0);
    this.hi = digest.readInt32LE(4);
  }
}
