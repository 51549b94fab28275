/**
 * Watches a word of a thread's control block that the thread counts up. Counts looks rather than time, since a process that was stopped as a
 * whole is not stalled.
 */
export class Heartbeat {
  /** Looks in a row in which it stood still. Negative while its thread may still be starting. */
  still = 0;
  private readonly control: Int32Array;
  private readonly word: number;
  private last = 0;

  /** @param startLooks in which it may stand still before that counts, while its thread starts */
  constructor(control: Int32Array, word: number, startLooks = 0) {
    this.control = control;
    this.word = word;
    this.restart(startLooks);
  }

  /** From now on the word is counted up by another thread: the last beats of the one before, which no look may have seen, are none of its own. */
  restart(startLooks: number): void {
    this.last = Atomics.load(this.control, this.word);
    this.still = -startLooks;
  }

  /** Returns how often it stood still, this look included: 0 when it has beaten. */
  look(): number {
    const beat = Atomics.load(this.control, this.word);
    this.still = beat === this.last ? this.still + 1 : 0;
    this.last = beat;
    return this.still;
  }
}
