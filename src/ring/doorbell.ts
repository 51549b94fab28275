import { LINE_PAIR_BYTES } from './layout.ts';

/** Bytes to reserve for a doorbell: two words, alone on their cache lines. */
export const DOORBELL_BYTES = LINE_PAIR_BYTES;

const SLEEPING_WORD = 0;
const SEQUENCE_WORD = 1;

/** What a pending `sleepAsync` looks like; the same shape as the result of Atomics.waitAsync. */
export interface AsyncSleep {
  readonly async: true;
  readonly value: Promise<'ok' | 'timed-out'>;
}

/**
 * Wakes one sleeping thread; any number of threads may ring. The sleeper keeps one Doorbell object for itself.
 *
 * The race that must not be lost: the sleeper finds nothing, and before it is asleep a publisher publishes, finds
 * nobody sleeping, and does not ring. Both sides therefore do their two steps in opposite order:
 *
 *     sleeper                                 publisher
 *     1. read the sequence                    1. publish (atomic store of the ring's tail)
 *     2. set the flag "sleeping"              2. look at the flag; if it is set, take it down,
 *     3. look at the rings once more             advance the sequence, and notify
 *     4. wait while the sequence is as read
 *
 * All of these are sequentially consistent, so they have one order that everyone agrees on. If the publisher's look
 * (2) comes before the flag is set (2), then its publication (1) came before the sleeper's last look (3), which sees
 * it. If it comes after, the publisher advances the sequence after the sleeper has read it (1), and the wait (4)
 * returns at once or is notified. The publication and the sleeper's last look must be atomic for this to hold:
 * `RingProducer.publish` is, and so are `RingConsumer.fill` and an unsuccessful `next`.
 *
 * Taking the flag down makes later publishers pass by: one notification per sleep is enough, and it is the expensive
 * part. The time-outs are a fallback for a publisher that dies between publishing and ringing.
 */
export class Doorbell {
  private readonly words: Int32Array;
  private pending: AsyncSleep | undefined;

  /** @param byteOffset where the doorbell's DOORBELL_BYTES begin, a multiple of 4; zeroed memory is a valid start */
  constructor(sab: SharedArrayBuffer, byteOffset: number) {
    this.words = new Int32Array(sab, byteOffset, DOORBELL_BYTES >> 2);
  }

  /** Wakes the sleeper, if it sleeps. Call it after publishing. Returns whether this call woke it. */
  ring(): boolean {
    if (Atomics.load(this.words, SLEEPING_WORD) === 0) return false;
    return this.wake();
  }

  /** Whether the other side sleeps and nobody has rung yet. */
  isSleeping(): boolean {
    return Atomics.load(this.words, SLEEPING_WORD) !== 0;
  }

  /**
   * Blocks this thread until rung, at most `timeoutMs`. `ready` is called once, after the flag is set; when it returns
   * true there is no sleep. Returns false when the time ran out, true when there is a reason to look at the rings.
   */
  sleep(timeoutMs: number, ready: () => boolean): boolean {
    const sequence = Atomics.load(this.words, SEQUENCE_WORD);
    Atomics.store(this.words, SLEEPING_WORD, 1);
    const woken = ready() || Atomics.wait(this.words, SEQUENCE_WORD, sequence, timeoutMs) !== 'timed-out';
    this.awake();
    return woken;
  }

  /**
   * The same for a thread whose event loop must go on: returns undefined when there is a reason to look at the rings
   * now, else the pending sleep, whose promise settles when rung or after `timeoutMs`. The promise keeps no process
   * alive.
   *
   * A loop that wakes for another reason may call this again while a sleep is pending: it raises the flag anew and
   * returns the *same* object with its earlier time-out, so that waiters do not pile up. Attach a handler only to an
   * object not seen before.
   */
  sleepAsync(timeoutMs: number, ready: () => boolean): AsyncSleep | undefined {
    const sequence = Atomics.load(this.words, SEQUENCE_WORD);
    Atomics.store(this.words, SLEEPING_WORD, 1);
    if (ready()) {
      this.awake();
      return undefined;
    }
    // A pending sleep whose notification is on its way settles soon, so whatever was published since gets its look.
    if (this.pending !== undefined) return this.pending;
    const wait = Atomics.waitAsync(this.words, SEQUENCE_WORD, sequence, timeoutMs);
    if (!wait.async) {
      this.awake();
      return undefined;
    }
    this.pending = { async: true, value: wait.value.then(this.settle) };
    return this.pending;
  }

  /** Takes the flag down for a sleeper that is awake for another reason, so that nobody rings in vain. */
  awake(): void {
    Atomics.store(this.words, SLEEPING_WORD, 0);
  }

  private wake(): boolean {
    // Several publishers may see the flag; the exchange lets exactly one of them ring.
    if (Atomics.exchange(this.words, SLEEPING_WORD, 0) === 0) return false;
    Atomics.add(this.words, SEQUENCE_WORD, 1);
    Atomics.notify(this.words, SEQUENCE_WORD);
    return true;
  }

  private readonly settle = <Outcome>(outcome: Outcome): Outcome => {
    this.pending = undefined;
    this.awake();
    return outcome;
  };
}
