import { isLoopback } from '../base/loopback.ts';

/** Limits of what arrives, in numbers; 0 is none. Rates are a second, and as many may come at once as in two seconds. */
export interface ArrivalLimits {
  /** At once: WebSockets, and as many connections that are none, or none yet. */
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly handshakes: number;
  readonly handshakesPerAddress: number;
  readonly requests: number;
  readonly requestsPerAddress: number;
  /** Tokens that do not do. */
  readonly badTokensPerAddress: number;
}

/** What came and was refused, and why. */
export const Arrival = {
  OK: 0,
  ADDRESS_CONNECTIONS: 1,
  HANDSHAKES: 2,
  ADDRESS_HANDSHAKES: 3,
  REQUESTS: 4,
  ADDRESS_REQUESTS: 5,
  ADDRESS_BAD_TOKENS: 6,
  /** At the door: a connection that has asked for nothing yet. */
  VISITS: 7,
  ADDRESS_VISITS: 8,
  OPENINGS: 9,
  ADDRESS_OPENINGS: 10,
} as const;

const BURST_MS = 2000;
const WAYS = 8;
/**
 * Words of a table's entry and of its head. OPEN: WebSockets; VISITS: connections that are none. The others say when the next would be due:
 * handshakes, requests, connections that open, tokens that do not do.
 */
const Entry = {
  LO: 0,
  HI: 1,
  OPEN: 2,
  VISITS: 3,
  HANDSHAKE_DUE: 4,
  REQUEST_DUE: 5,
  OPENING_DUE: 6,
  BAD_TOKEN_DUE: 7,
  WORDS: 8,
} as const;
const Head = { LOCK: 0, HANDSHAKE_DUE: 1, REQUEST_DUE: 2, OPENING_DUE: 3, VISITS: 4, WORDS: 32 } as const;
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
 * Layer 1: counts connections, handshakes, requests and tokens that do not do by address, for all fronts together, in a table of shared
 * memory that never grows. A set of WAYS entries belongs to an address by its hash; where all of them have connections, a further address is only counted with all others.
 * Rates are GCRA (ITU-T I.371): one word says when the next would be due if they came evenly, and may run BURST_MS ahead.
 *
 * A lock is held for the microsecond that it takes: all of these are rare beside commands, and a front that dies ends the server.
 */
export class Arrivals {
  private readonly i32: Int32Array;
  private readonly sets: number;
  private readonly limits: ArrivalLimits;
  private readonly nowMs: () => number;
  /** After a refusal: how long the client had better wait. */
  retryMs = 0;
  /** After arrive(): whether the WebSocket is counted for its address. */
  counted = false;

  /** `nowMs`: whole ms of a clock that all fronts share, modulo 2^31. */
  constructor(memory: SharedArrayBuffer, limits: ArrivalLimits, nowMs: () => number) {
    this.i32 = new Int32Array(memory);
    this.sets = (this.i32.length - Head.WORDS) / Entry.WORDS / WAYS;
    this.limits = limits;
    this.nowMs = nowMs;
  }

  /** The same limits for another crowd, which only this front counts. */
  apart(): Arrivals {
    return new Arrivals(allocateArrivals(0), this.limits, this.nowMs);
  }

  /**
   * Counts a handshake, and the WebSocket that it opens when this returns OK: see Arrival. `counted` then says whether leave() has to tell of
   * its end.
   */
  arrive(lo: number, hi: number): number {
    return this.locked(() => {
      const { limits } = this;
      const now = this.nowMs();
      const at = this.entryFor(lo, hi, now);
      this.counted = at >= 0;
      if (at >= 0) {
        // The rate first: who asks again and again while it is refused for its connections has used up its rate for later.
        if (!this.take(at + Entry.HANDSHAKE_DUE, limits.handshakesPerAddress, now))
          return Arrival.ADDRESS_HANDSHAKES;
        if (this.isFull(at + Entry.OPEN, limits.connectionsPerAddress)) return Arrival.ADDRESS_CONNECTIONS;
      }
      if (!this.take(Head.HANDSHAKE_DUE, limits.handshakes, now)) return Arrival.HANDSHAKES;
      if (at >= 0) this.count(at + Entry.OPEN, 1);
      return Arrival.OK;
    });
  }

  /** A WebSocket that was counted is gone. */
  leave(lo: number, hi: number): void {
    this.locked(() => {
      const at = this.find(lo, hi);
      if (at >= 0) this.count(at + Entry.OPEN, -1);
    });
  }

  /**
   * Counts a connection that has asked for nothing so far, until endVisit(). It may become a WebSocket or bring one request, so as many may
   * open as of both together.
   */
  visit(lo: number, hi: number): number {
    return this.locked(() => {
      const { limits } = this;
      const now = this.nowMs();
      const at = this.entryFor(lo, hi, now);
      if (at >= 0) {
        const rate = limits.handshakesPerAddress + limits.requestsPerAddress;
        if (!this.take(at + Entry.OPENING_DUE, rate, now)) return Arrival.ADDRESS_OPENINGS;
        if (this.isFull(at + Entry.VISITS, limits.connectionsPerAddress)) return Arrival.ADDRESS_VISITS;
      }
      if (!this.take(Head.OPENING_DUE, limits.handshakes + limits.requests, now)) return Arrival.OPENINGS;
      if (this.isFull(Head.VISITS, limits.connections)) return Arrival.VISITS;
      if (at >= 0) this.count(at + Entry.VISITS, 1);
      this.count(Head.VISITS, 1);
      return Arrival.OK;
    });
  }

  /** A connection is a WebSocket now, or answered, or gone. */
  endVisit(lo: number, hi: number): void {
    this.locked(() => {
      const at = this.find(lo, hi);
      if (at >= 0) this.count(at + Entry.VISITS, -1);
      this.count(Head.VISITS, -1);
    });
  }

  /** Counts an HTTP request. */
  request(lo: number, hi: number): number {
    return this.locked(() => {
      const { limits } = this;
      const now = this.nowMs();
      const at = this.entryFor(lo, hi, now);
      if (at >= 0 && !this.take(at + Entry.REQUEST_DUE, limits.requestsPerAddress, now))
        return Arrival.ADDRESS_REQUESTS;
      return this.take(Head.REQUEST_DUE, limits.requests, now) ? Arrival.OK : Arrival.REQUESTS;
    });
  }

  /** Whether a token of an address is to be looked at: not after too many that did not do. */
  mayTry(lo: number, hi: number): boolean {
    return this.locked(() => {
      const now = this.nowMs();
      const at = this.find(lo, hi);
      return at < 0 || this.take(at + Entry.BAD_TOKEN_DUE, this.limits.badTokensPerAddress, now, 0);
    });
  }

  /** A token of an address did not do. More of them than may come can be looked at when they come at once; they are all counted, up to as many again. */
  failed(lo: number, hi: number): void {
    this.locked(() => {
      const now = this.nowMs();
      const at = this.entryFor(lo, hi, now);
      if (at >= 0) this.take(at + Entry.BAD_TOKEN_DUE, this.limits.badTokensPerAddress, now, 1, 2 * BURST_MS);
    });
  }

  private count(word: number, change: number): void {
    this.i32[word] = Math.max(0, (this.i32[word] as number) + change);
  }

  private isFull(word: number, most: number): boolean {
    if (most === 0 || (this.i32[word] as number) < most) return false;
    this.retryMs = 1000;
    return true;
  }

  /** Whether one more of `rate` a second may come. Counts `taken` if so. */
  private take(word: number, rate: number, now: number, taken = 1, burstMs = BURST_MS): boolean {
    if (rate === 0) return true;
    const { i32 } = this;
    // Thousandths would be lost in whole ms: due times are kept in units of a sixteenth.
    const step = Math.max(1, Math.round(16_000 / rate));
    const at = (now << 4) | 0;
    let due = i32[word] as number;
    if (((due - at) | 0) < 0 || ((due - at) | 0) > 2 * BURST_MS * 16) due = at;
    const ahead = (due - at) | 0;
    if (ahead + step > burstMs * 16) {
      this.retryMs = Math.max(1, Math.ceil((ahead + step - burstMs * 16) / 16));
      return false;
    }
    i32[word] = (due + step * taken) | 0;
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
      if ((i32[at + Entry.OPEN] as number) > 0 || (i32[at + Entry.VISITS] as number) > 0) continue;
      let due = Number.NEGATIVE_INFINITY;
      for (let word = at + Entry.HANDSHAKE_DUE; word < at + Entry.WORDS; word++)
        due = Math.max(due, ((i32[word] as number) - (now << 4)) | 0);
      if (best < 0 || due < bestDue) {
        best = at;
        bestDue = due;
      }
    }
    if (best < 0) return -1;
    i32[best + Entry.LO] = lo;
    i32[best + Entry.HI] = hi;
    i32.fill(now << 4, best + Entry.HANDSHAKE_DUE, best + Entry.WORDS);
    return best;
  }

  private locked<T>(work: () => T): T {
    while (Atomics.compareExchange(this.i32, Head.LOCK, 0, 1) !== 0) Atomics.wait(this.i32, Head.LOCK, 1, 1);
    try {
      return work();
    } finally {
      Atomics.store(this.i32, Head.LOCK, 0);
      Atomics.notify(this.i32, Head.LOCK, 1);
    }
  }
}

/** Whether limits by address hold for it: a server that asks for no tokens trusts its own machine. */
export function isLimited(address: string, authenticated: boolean): boolean {
  return authenticated || !isLoopback(address);
}
