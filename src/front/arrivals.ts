import { isLoopback } from '../base/loopback.ts';

/** Limits of what arrives, in numbers; 0 is none. */
export interface ArrivalLimits {
  /** Connections of one address at once. */
  readonly connectionsPerAddress: number;
  /** Handshakes a second, of all and of one address. As many may come at once as in two seconds. */
  readonly handshakes: number;
  readonly handshakesPerAddress: number;
}

/** Why a handshake is refused. */
export const Arrival = { OK: 0, ADDRESS_CONNECTIONS: 1, HANDSHAKES: 2, ADDRESS_HANDSHAKES: 3 } as const;

const BURST_MS = 2000;
const WAYS = 8;
/** Words of a table's entry, see Entry, and of its head. */
const Entry = { LO: 0, HI: 1, OPEN: 2, DUE: 3, WORDS: 4 } as const;
const Head = { LOCK: 0, DUE: 1, WORDS: 32 } as const;
/** Entries for each connection that there may be at once: sets are rarely full then. */
const SPARE = 4;
const MIN_ENTRIES = 1024;
const MAX_ENTRIES = 1_048_576;

/** Memory for all fronts of a server with at most so many connections. */
export function allocateArrivals(connections: number): SharedArrayBuffer {
  const wanted = Math.min(MAX_ENTRIES, Math.max(MIN_ENTRIES, connections * SPARE));
  const entries = 2 ** Math.ceil(Math.log2(wanted));
  return new SharedArrayBuffer((Head.WORDS + entries * Entry.WORDS) * 4);
}

/**
 * Layer 1: counts connections and handshakes by address, for all fronts together, in a table of shared memory that never grows. A set of
 * WAYS entries belongs to an address by its hash; where all of them have connections, a further address is only counted with all others.
 * Rates are GCRA (ITU-T I.371): one word says when the next handshake would be due if they came evenly, and may run BURST_MS ahead.
 *
 * A lock is held for the microsecond that it takes: handshakes are rare beside commands, and a front that dies ends the server.
 */
export class Arrivals {
  private readonly i32: Int32Array;
  private readonly sets: number;
  private readonly limits: ArrivalLimits;
  private readonly nowMs: () => number;
  /** After a refusal: how long the client had better wait. */
  retryMs = 0;

  /** `nowMs`: whole ms of a clock that all fronts share, modulo 2^31. */
  constructor(memory: SharedArrayBuffer, limits: ArrivalLimits, nowMs: () => number) {
    this.i32 = new Int32Array(memory);
    this.sets = (this.i32.length - Head.WORDS) / Entry.WORDS / WAYS;
    this.limits = limits;
    this.nowMs = nowMs;
  }

  /** Counts a handshake, and the connection that it opens when it returns OK: see Arrival. */
  arrive(lo: number, hi: number): number {
    this.lock();
    try {
      return this.admit(lo, hi);
    } finally {
      this.unlock();
    }
  }

  /** The connection of an address is gone. */
  leave(lo: number, hi: number): void {
    this.lock();
    const at = this.find(lo, hi);
    if (at >= 0) this.i32[at + Entry.OPEN] = Math.max(0, (this.i32[at + Entry.OPEN] as number) - 1);
    this.unlock();
  }

  private admit(lo: number, hi: number): number {
    const { i32, limits } = this;
    const now = this.nowMs();
    const at = this.entryFor(lo, hi, now);
    const { connectionsPerAddress, handshakesPerAddress, handshakes } = limits;
    if (at >= 0) {
      // The rate first: who asks again and again while it is refused for its connections has used up its rate for later.
      if (!this.take(at + Entry.DUE, handshakesPerAddress, now)) return Arrival.ADDRESS_HANDSHAKES;
      if (connectionsPerAddress > 0 && (i32[at + Entry.OPEN] as number) >= connectionsPerAddress) {
        this.retryMs = 1000;
        return Arrival.ADDRESS_CONNECTIONS;
      }
    }
    if (!this.take(Head.DUE, handshakes, now)) return Arrival.HANDSHAKES;
    if (at >= 0) i32[at + Entry.OPEN] = (i32[at + Entry.OPEN] as number) + 1;
    return Arrival.OK;
  }

  /** Whether one more of `rate` a second may come. */
  private take(word: number, rate: number, now: number): boolean {
    if (rate === 0) return true;
    const { i32 } = this;
    // Thousandths would be lost in whole ms: due times are kept in units of a sixteenth.
    const step = Math.max(1, Math.round(16_000 / rate));
    const at = (now << 4) | 0;
    let due = i32[word] as number;
    if (((due - at) | 0) < 0 || ((due - at) | 0) > 2 * BURST_MS * 16) due = at;
    const ahead = (due - at) | 0;
    if (ahead + step > BURST_MS * 16) {
      this.retryMs = Math.max(1, Math.ceil((ahead + step - BURST_MS * 16) / 16));
      return false;
    }
    i32[word] = (due + step) | 0;
    return true;
  }

  private find(lo: number, hi: number): number {
    const first = Head.WORDS + ((lo >>> 0) % this.sets) * WAYS * Entry.WORDS;
    for (let way = 0; way < WAYS; way++) {
      const at = first + way * Entry.WORDS;
      if (this.i32[at + Entry.LO] === lo && this.i32[at + Entry.HI] === hi) return at;
    }
    return -1;
  }

  /** The address's entry, or one that is free or that has been idle for longest; -1 when all of its set have connections. */
  private entryFor(lo: number, hi: number, now: number): number {
    const { i32 } = this;
    const known = this.find(lo, hi);
    if (known >= 0) return known;
    const first = Head.WORDS + ((lo >>> 0) % this.sets) * WAYS * Entry.WORDS;
    let best = -1;
    let bestDue = 0;
    for (let way = 0; way < WAYS; way++) {
      const at = first + way * Entry.WORDS;
      if ((i32[at + Entry.OPEN] as number) > 0) continue;
      const due = ((i32[at + Entry.DUE] as number) - (now << 4)) | 0;
      if (best < 0 || due < bestDue) {
        best = at;
        bestDue = due;
      }
    }
    if (best < 0) return -1;
    i32[best + Entry.LO] = lo;
    i32[best + Entry.HI] = hi;
    i32[best + Entry.DUE] = now << 4;
    return best;
  }

  private lock(): void {
    while (Atomics.compareExchange(this.i32, Head.LOCK, 0, 1) !== 0) Atomics.wait(this.i32, Head.LOCK, 1, 1);
  }

  private unlock(): void {
    Atomics.store(this.i32, Head.LOCK, 0);
    Atomics.notify(this.i32, Head.LOCK, 1);
  }
}

/** Whether limits by address hold for it: a server that asks for no tokens trusts its own machine. */
export function isLimited(address: string, authenticated: boolean): boolean {
  return authenticated || !isLoopback(address);
}
