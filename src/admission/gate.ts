import { MAX_IN_FLIGHT } from '../../protocol/limits.ts';
import { OP_CHANGES, OP_SHAPES, Op } from '../../protocol/ops.ts';
import { Layer, Status } from '../../protocol/status.ts';
import { BreakerState, Breakers } from './breakers.ts';
import { ConcurrencyLimit } from './concurrency-limit.ts';
import { DrainRate } from './drain-rate.ts';
import { RateLimits, type RateMemory } from './rate-limits.ts';
import { type AdmissionRules, type BreakerRule, OFF } from './rules.ts';

/** How long a client had better wait while no rate is known: a full ring is worked off in some milliseconds. */
export const BUSY_RETRY_MS = 10;

/** What the gate has to know of a connection. */
export interface Admitted {
  holderLo: number;
  holderHi: number;
  addressLo: number;
  addressHi: number;
  /** Limits go by the address. */
  anonymous: boolean;
  vip: boolean;
  /** Commands that are not answered yet. */
  inFlight: number;
}

export interface GateOptions {
  readonly workers: number;
  readonly segments: number;
  /** Fronts in all, which share the workers' queues between them. */
  readonly fronts: number;
  readonly rules: AdmissionRules;
  /** Where the fronts count for layers 2 and 3; without it these limit nothing. */
  readonly rates?: RateMemory | undefined;
  /** Whether any layer but a connection's commands under way is in force. */
  readonly on: boolean;
  /** Where to count refusals by layer: a cell for each Layer. */
  readonly refused: Float64Array;
}

export const NO_LIMIT = 2 ** 30;
/** The rules of layers 2 and 3. */
const RATES = ['holderRate', 'addressRate', 'skuWindow', 'holderWindow', 'holderSkuWindow'] as const;
/** Who has a claim may go beyond what all others may have under way, by this part. */
const VIP_SHARE = 1 / 4;

/**
 * Commands that settle a hold, or ask after one: they are limited by nothing but the connection's commands under way. Refusing them would
 * keep units held that are paid for or given up, and each frees the server of work to come.
 */
export const SETTLING: readonly number[] = [Op.CONFIRM, Op.RELEASE, Op.EXTEND, Op.RETURN, Op.READ_HOLD];
/** The others, as bits by op. */
const LIMITED = OP_SHAPES.reduce((bits, { op }) => (SETTLING.includes(op) ? bits : bits | (1 << op)), 0);

/**
 * Answers that speak against a SKU group or an op. A full table is none of them: the answer costs next to nothing, tells the reason, and is another
 * one as soon as there is room. Nor is a store that does not keep up: that is overload, which the limit is for.
 */
const FAILED = new Set<number>([Status.UNAVAILABLE, Status.UNKNOWN_OUTCOME]);

/**
 * What a command has to pass between its header, which was decoded, and its ring, cheapest first. One for each front. A refusal costs no
 * more than its answer, and an admission a few comparisons: the clock is read once for each turn of the event loop, and what takes sums is
 * worked out by tick().
 */
export class Gate {
  /** Of the last refusal: how long the client had better wait. */
  retryMs = 0;
  /** The command that was admitted last is a breaker's probe, and has to be timed. The router sets it back. */
  probe = false;
  /** Of a monotonic clock that is the same for all fronts, for layers 2 and 3: whoever uses the gate reads it once for each turn of the event loop. */
  nowMs = 0;
  /**
   * Every worker has all under way that it may, so that whoever has no claim is refused a HOLD whatever its SKU is. Within a turn of the event loop
   * this lasts: only answers that leave make room.
   */
  shut = false;
  /** Refusals by layer. */
  readonly refused: Float64Array;
  /** Of each worker, commands that are in its rings and not answered. */
  readonly underWay: Int32Array;
  /** Of each worker, how many there may be: what layer 4 allows, and the adapted limit of layer 5. */
  readonly most: Int32Array;
  private readonly options: GateOptions;
  private perConnection = MAX_IN_FLIGHT;
  private perWorker = NO_LIMIT;
  /** Ops that are limited, as bits; none when the gate is off. */
  private limited = LIMITED;
  /** Undefined where the rules do without. */
  private limits: ConcurrencyLimit[] | undefined;
  /** Layers 2 and 3, and whether any of their rules is in force. */
  private readonly rates: RateLimits | undefined;
  private rated = false;
  private skuBreakers: Breakers | undefined;
  private opBreakers: Breakers | undefined;
  private readonly drains: readonly DrainRate[];
  /** Of each worker since the last tick: replies, most commands under way, commands refused. */
  private readonly finished: Int32Array;
  private readonly peak: Int32Array;
  private readonly turnedAway: Int32Array;
  /** Of each worker, whether the store did not keep up since the last tick. */
  private readonly storeFull: Uint8Array;
  /** Of each worker, what a client that is refused is told to wait. */
  private readonly retry: Int32Array;
  /** The worker that the next refusals are put down to which are for no particular one. */
  private next = 0;
  private tickMs = 0;

  constructor(options: GateOptions) {
    const { workers } = options;
    this.options = options;
    this.refused = options.refused;
    this.underWay = new Int32Array(workers);
    this.most = new Int32Array(workers);
    this.drains = Array.from({ length: workers }, () => new DrainRate());
    this.finished = new Int32Array(workers);
    this.peak = new Int32Array(workers);
    this.turnedAway = new Int32Array(workers);
    this.storeFull = new Uint8Array(workers);
    this.retry = new Int32Array(workers).fill(BUSY_RETRY_MS);
    if (!options.on) this.limited = 0;
    if (options.rates !== undefined)
      this.rates = new RateLimits(options.rates, options.fronts, options.rules);
    this.setRules(options.rules);
  }

  /** Goes by other rules from now on. What was measured stays, and so does what is open. */
  setRules(rules: AdmissionRules): void {
    const { depth, concurrency, breakers } = rules;
    const { workers, segments, fronts, on } = this.options;
    this.perConnection = depth === OFF || !on ? MAX_IN_FLIGHT : depth.perConnection;
    this.perWorker = depth === OFF ? NO_LIMIT : Math.max(1, Math.floor(depth.perWorker / fronts));
    if (concurrency === OFF) this.limits = undefined;
    else if (this.limits === undefined)
      this.limits = Array.from({ length: workers }, () => new ConcurrencyLimit(concurrency));
    else for (const limit of this.limits) limit.change(concurrency);
    this.skuBreakers = changed(this.skuBreakers, segments, breakers);
    this.opBreakers = changed(this.opBreakers, OP_SHAPES.length, breakers === OFF ? OFF : forOps(breakers));
    this.rates?.setRules(rules);
    this.rated = this.rates !== undefined && RATES.some((name) => rules[name] !== OFF);
    this.setMost();
  }

  /**
   * The layer that refuses the command, or 0. `lo`, `hi`: hash of the SKU, or the words of the hold's id. What is admitted and finds room
   * in its ring has to be told by entered(), and what is answered by answered().
   */
  admit(connection: Admitted, op: number, lo: number, hi: number, segment: number, worker: number): number {
    // One client cannot fill a ring that all share.
    if (connection.inFlight >= this.perConnection)
      return this.refuse(Layer.CONNECTION, this.retry[worker] as number);
    if (((this.limited >>> op) & 1) === 0) return 0;
    // Before the rates: one comparison, in place of their cold memory, and whom the load sends away has not used up what is its own.
    if ((this.underWay[worker] as number) >= (this.most[worker] as number)) {
      const layer = this.crowded(connection, worker);
      if (layer !== 0) return layer;
    }
    if (this.rated) {
      const layer = this.askRates(this.rates as RateLimits, connection, op, lo, hi);
      if (layer !== 0) return layer;
    }
    if (this.skuBreakers === undefined || this.opBreakers === undefined) return 0;
    if (this.skuBreakers.tripped + this.opBreakers.tripped === 0 || !OP_CHANGES[op]) return 0;
    return this.askBreakers(this.skuBreakers, this.opBreakers, op, segment);
  }

  /** Whether a HOLD of this connection is refused by the load alone, whatever its SKU is; see refuseHolds(). For while `shut` is set. */
  refusesHolds({ vip, inFlight }: Admitted): boolean {
    return this.shut && !vip && inFlight < this.perConnection;
  }

  /** Refuses HOLDs of which nobody knows for which worker they are, while `shut` is set. Returns the layer, with `retryMs`; turnedAwayHolds() follows. */
  refuseHolds(): number {
    this.next = this.next + 1 < this.most.length ? this.next + 1 : 0;
    this.retryMs = this.retry[this.next] as number;
    return this.layerOf(this.next);
  }

  /** So many were refused as refuseHolds() said. */
  turnedAwayHolds(count: number): void {
    const layer = this.layerOf(this.next);
    this.turnedAway[this.next] = (this.turnedAway[this.next] as number) + count;
    this.refused[layer] = (this.refused[layer] as number) + count;
  }

  /** The command was put into its worker's ring. */
  entered(worker: number): void {
    const underWay = (this.underWay[worker] as number) + 1;
    this.underWay[worker] = underWay;
    if (underWay === this.most[worker]) this.setShut();
  }

  /** So many of a worker's replies have left. */
  answered(worker: number, count: number): void {
    const underWay = this.underWay[worker] as number;
    if (underWay > (this.peak[worker] as number)) this.peak[worker] = underWay;
    this.underWay[worker] = underWay - count;
    if (this.shut) this.setShut();
    this.finished[worker] = (this.finished[worker] as number) + count;
  }

  /** The command found no room in its ring. */
  ringFull(worker: number): number {
    this.probe = false;
    return this.turnAway(Layer.WORKER_QUEUE, worker);
  }

  /** A worker has answered BUSY, because the store does not keep up. */
  refusedByStore(worker: number): void {
    this.storeFull[worker] = 1;
    this.refused[Layer.STORE] = (this.refused[Layer.STORE] as number) + 1;
  }

  /**
   * A command that was timed is answered.
   *
   * @param waitMs from the arrival of its frame until its worker took it
   * @param tookMs until its reply left
   */
  note(
    worker: number,
    segment: number,
    op: number,
    status: number,
    waitMs: number,
    tookMs: number,
    probe: boolean,
  ): void {
    this.limits?.[worker]?.waited(waitMs, tookMs);
    const { skuBreakers, opBreakers, tickMs } = this;
    if (skuBreakers === undefined || opBreakers === undefined) return;
    if (!OP_CHANGES[op]) return;
    const failed = FAILED.has(status);
    skuBreakers.note(segment, tookMs, failed, probe, tickMs);
    // What one group of SKUs explains does not speak against the op, unless its probe was the op's too.
    if (((LIMITED >>> op) & 1) === 0 || (skuBreakers.states[segment] !== BreakerState.CLOSED && !probe))
      return;
    opBreakers.note(op, tookMs, failed, probe, tickMs);
  }

  /** Call it some ten times a second: works out limits and retry times from what was measured since. `nowMs`: of any clock. */
  tick(nowMs: number): void {
    const elapsedMs = nowMs - this.tickMs;
    const first = this.tickMs === 0;
    this.tickMs = nowMs;
    for (let worker = 0; worker < this.most.length; worker++) {
      const underWay = this.underWay[worker] as number;
      const drain = this.drains[worker] as DrainRate;
      if (!first) drain.note(this.finished[worker] as number, elapsedMs, underWay === 0);
      // Behind what is under way, and behind all who were sent away and will come again.
      this.retry[worker] = drain.retryMs(underWay + (this.turnedAway[worker] as number), BUSY_RETRY_MS);
      const perSecond = first ? 0 : ((this.finished[worker] as number) * 1000) / Math.max(1, elapsedMs);
      const most = Math.max(this.peak[worker] as number, underWay);
      this.limits?.[worker]?.tick(most, perSecond, this.storeFull[worker] === 1);
    }
    this.finished.fill(0);
    this.peak.fill(0);
    this.turnedAway.fill(0);
    this.storeFull.fill(0);
    this.setMost();
  }

  /** Breakers of groups of SKUs and of ops, for whoever watches; undefined where the rules do without. */
  get breakers(): { readonly skus: Breakers; readonly ops: Breakers } | undefined {
    const { skuBreakers: skus, opBreakers: ops } = this;
    return skus === undefined || ops === undefined ? undefined : { skus, ops };
  }

  /** Holders, addresses and SKUs that had to be forgotten for others, and commands that were let through uncounted, in all fronts. */
  get forgotten(): { readonly evictions: number; readonly uncounted: number } {
    return { evictions: this.rates?.evictions ?? 0, uncounted: this.rates?.uncounted ?? 0 };
  }

  private setMost(): void {
    for (let worker = 0; worker < this.most.length; worker++) {
      this.most[worker] = Math.min(this.perWorker, this.limits?.[worker]?.limit ?? NO_LIMIT);
    }
    this.setShut();
  }

  private setShut(): void {
    let open = 0;
    for (let worker = 0; worker < this.most.length; worker++) {
      if ((this.underWay[worker] as number) < (this.most[worker] as number)) open++;
    }
    this.shut = open === 0 && this.limited !== 0;
  }

  /** Whoever asks is counted by its name, or by its address where it has none. */
  private askRates(rates: RateLimits, from: Admitted, op: number, skuLo: number, skuHi: number): number {
    const { anonymous } = from;
    // The server's own questions, such as those of a scrape.
    if (!anonymous && from.holderLo === 0 && from.holderHi === 0) return 0;
    const lo = anonymous ? from.addressLo : from.holderLo;
    const hi = anonymous ? from.addressHi : from.holderHi;
    const nowMs = this.nowMs | 0;
    const layer =
      op === Op.HOLD
        ? rates.admitHold(lo, hi, anonymous, skuLo, skuHi, nowMs)
        : rates.admit(lo, hi, anonymous, nowMs);
    return layer === 0 ? 0 : this.refuse(layer, rates.retryMs);
  }

  /** As much as may be is under way. Who has a claim may come still. */
  private crowded({ vip }: Admitted, worker: number): number {
    const underWay = this.underWay[worker] as number;
    const most = this.most[worker] as number;
    if (vip && underWay < most + Math.ceil(most * VIP_SHARE)) return 0;
    return this.turnAway(this.layerOf(worker), worker);
  }

  /** Which limit it is that a worker has reached. */
  private layerOf(worker: number): number {
    return (this.underWay[worker] as number) >= this.perWorker ? Layer.WORKER_QUEUE : Layer.CONCURRENCY;
  }

  private askBreakers(skus: Breakers, ops: Breakers, op: number, segment: number): number {
    const { tickMs } = this;
    if (!skus.admits(segment, tickMs)) return this.refuse(Layer.SKU_BREAKER, skus.retryMs(segment, tickMs));
    if (!ops.admits(op, tickMs)) return this.refuse(Layer.OP_BREAKER, ops.retryMs(op, tickMs));
    const skuProbe = skus.take(segment);
    this.probe = ops.take(op) || skuProbe;
    return 0;
  }

  private turnAway(layer: number, worker: number): number {
    this.turnedAway[worker] = (this.turnedAway[worker] as number) + 1;
    return this.refuse(layer, this.retry[worker] as number);
  }

  private refuse(layer: number, retryMs: number): number {
    this.refused[layer] = (this.refused[layer] as number) + 1;
    this.retryMs = retryMs;
    return layer;
  }
}

function changed(breakers: Breakers | undefined, count: number, rule: BreakerRule | typeof OFF) {
  if (rule === OFF) return undefined;
  breakers?.change(rule);
  return breakers ?? new Breakers(count, rule);
}

/**
 * An op's breaker wants so many samples that one group of SKUs, whose own breaker opens first and is left out from then on, cannot make up
 * the share alone.
 */
function forOps(rule: BreakerRule): BreakerRule {
  const { minimumSamples, slowShare, errorShare } = rule;
  return { ...rule, minimumSamples: Math.floor(minimumSamples / Math.min(slowShare, errorShare)) + 1 };
}
