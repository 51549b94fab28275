import type { Prng } from '../../src/base/prng.ts';
import { Front } from '../../src/front/front.ts';
import { RingConsumer } from '../../src/ring/consumer.ts';
import { RingProducer } from '../../src/ring/producer.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { LANE_NAMES } from '../../src/shard/lanes.ts';
import {
  commandConsumer,
  commandProducers,
  replyConsumer,
  replyProducer,
} from '../../src/shard/link-rings.ts';
import {
  Control,
  controlOf,
  durableWord,
  type EngineMemory,
  Lease,
  storageControlOf,
} from '../../src/shard/memory.ts';
import type { Shard } from '../../src/shard/shard.ts';
import { ShardLink } from '../../src/shard/shard-link.ts';
import type { Scenario } from './scenario.ts';
import { Death, isPlanted, type Observer, replace, Tap } from './tap.ts';
import { SimWorker } from './worker.ts';

const BOMB_PLACES = ['command', 'expiry', 'reply', 'batch', 'publish'] as const;

/** Something that is done to the project's objects so that they do wrong, to see that the judge notices. */
export interface Mutation {
  readonly shard?: (shard: Shard) => void;
  readonly front?: (front: Front) => void;
  /** Kinds of violation that the judge is to overlook, so that another one has to turn up. */
  readonly unseen?: readonly string[];
}

/** What watches an engine. */
export interface EngineWatch extends Observer {
  swept(worker: number): void;
  violate(kind: string, what: string): void;
}

/** Front, rings, shards, segments, supervisor and clock of one run. */
export class SimEngine {
  readonly memory: EngineMemory;
  /** The first is the main thread's, which takes over from the dead. */
  readonly fronts: readonly Front[];
  readonly workers: readonly SimWorker[];
  now: number;
  /** Segments that were fenced off since somebody last looked. */
  readonly fenced: number[] = [];
  /** While set, the front takes no replies out of the rings. */
  pumpStalled = false;
  private readonly scenario: Scenario;
  private readonly prng: Prng;
  private readonly taps: readonly Tap[];
  private readonly count: (what: string) => void;
  private claims: boolean[] = [];

  constructor(
    memory: EngineMemory,
    scenario: Scenario,
    prng: Prng,
    watch: EngineWatch,
    count: (what: string) => void,
    mutation: Mutation,
    startMs = scenario.startMs,
  ) {
    this.memory = memory;
    this.scenario = scenario;
    this.prng = prng;
    this.count = count;
    this.now = startMs;
    for (const worker of memory.workers.keys()) this.setRings(worker, scenario.ringStart);
    this.taps = memory.workers.map((_, worker) => new Tap(worker, watch, count));
    this.fronts = memory.fronts.map((_, front) => this.openFront(front, watch, mutation));
    this.workers = memory.workers.map((_, worker) => {
      const skewMs = prng.below(scenario.skewMs + 1);
      return new SimWorker(worker, {
        memory,
        prng,
        tap: this.taps[worker],
        clock: () => this.now - skewMs,
        count,
        complain: (what) => watch.violate('wake-up', what),
        swept: (swept) => watch.swept(swept),
        tamper: (shard) => mutation.shard?.(shard),
      });
    });
  }

  /** Does something, and says of each command that the router meanwhile found a ring for, whether that had room. */
  watchClaims(route: () => void): readonly boolean[] {
    const outer = this.claims;
    const claims: boolean[] = [];
    this.claims = claims;
    route();
    this.claims = outer;
    return claims;
  }

  /** The front that a connection comes to, or that has its turn. */
  pickFront(): number {
    const { length } = this.fronts;
    return length === 1 ? 0 : this.prng.below(length);
  }

  /** One turn of a front's event loop. */
  turn(front = this.pickFront()): void {
    const before = this.total(Control.BORROWED);
    this.fronts[front].endTurn();
    if (this.total(Control.BORROWED) !== before) this.count('borrowed');
  }

  /** A turn of every front. */
  turnAll(): void {
    for (const front of this.fronts.keys()) this.turn(front);
  }

  /** Segments that a death has struck and that nobody has looked after yet. */
  struck(): number[] {
    return this.taps.map((tap) => tap.struck).filter((segment) => segment >= 0);
  }

  /** Lets a thread die where it stands, or lays out how it will. */
  kill(): void {
    const { prng } = this;
    const worker = prng.pick(this.workers);
    if (worker.phase === 'dead') return;
    const tap = this.taps[worker.number];
    const { control } = worker.shard;
    const way = prng.below(9);
    if (way < 2) worker.die();
    else if (way === 2) plantFault(control, Fault.THROW, prng.below(this.scenario.engine.segments));
    else if (way === 3) plantFault(control, Fault.THROW_IDLE, -1);
    else tap.bomb = { place: prng.pick(BOMB_PLACES), countdown: prng.below(6) };
  }

  /** From now on nobody dies who is not dead yet. */
  makePeace(): void {
    for (const tap of this.taps) tap.bomb = undefined;
    for (const worker of this.workers) plantFault(worker.shard.control, Fault.NONE, -1);
  }

  /** Time goes by. */
  pass(ms: number): void {
    this.now += ms;
  }

  togglePump(): void {
    this.pumpStalled = !this.pumpStalled;
  }

  adoptAll(): void {
    for (const worker of this.workers) this.adopt(worker);
  }

  /** Puts what a dead thread left behind in order and a new thread in its place, as the supervisor does. */
  private adopt(worker: SimWorker): void {
    if (worker.phase !== 'dead') return;
    const shard = this.fronts[0].shardOf(worker.number);
    if (Atomics.load(shard.control, Control.LEASE) === Lease.WORKER) {
      const fenced = shard.adopt(Lease.FRONT);
      shard.release();
      if (fenced >= 0) this.fenced.push(fenced);
    }
    worker.restart();
  }

  /** Counts what the rings went through. */
  countRings(): void {
    const { ringStart } = this.scenario;
    for (const own of this.memory.workers) {
      for (const [front, link] of own.links.entries()) {
        const replies = replyProducer(own, front).position;
        if (((replies - ringStart) | 0) > link.replies.bytes) this.count('reply-ring-wrapped');
        for (const [lane, { position }] of commandProducers(own, front).entries()) {
          const name = LANE_NAMES[lane];
          if (((position - ringStart) | 0) > link.commands[lane].bytes) this.count(`${name}-ring-wrapped`);
          if (ringStart > 0 && position < 0) this.count('position-past-2^31');
          if (ringStart < 0 && position >= 0) this.count('position-past-2^32');
        }
      }
    }
  }

  private openFront(number: number, watch: EngineWatch, mutation: Mutation): Front {
    const front = new Front({
      memory: this.memory,
      front: number,
      clock: () => this.now,
      borrow: this.scenario.borrow,
      // Its judge tells every answer beforehand; what the gate makes of measured times is none of the seed's.
      gate: false,
      onFault: (error, segment) => {
        this.count('death-borrowing');
        if (segment >= 0) this.fenced.push(segment);
        if (!(error instanceof Death) && !isPlanted(error)) watch.violate('crash', String(error));
      },
    });
    // The scheduler says when the front has a turn; an event loop has no part in this.
    Object.assign(front, { schedule() {}, sleep() {} });
    for (const worker of this.memory.workers.keys()) {
      const shard = front.shardOf(worker);
      mutation.shard?.(shard);
      this.taps[worker].watch(shard);
    }
    mutation.front?.(front);
    replace(front.pump, 'pump', (pump) => () => (this.pumpStalled ? 0 : pump()));
    const { commands } = front.router as unknown as { commands: RingProducer[] };
    for (const ring of commands) {
      replace(ring, 'claim', (claim) => (bytes, tag) => {
        const at = claim(bytes, tag);
        this.claims.push(at >= 0);
        return at;
      });
    }
    return front;
  }

  /** Moves both ends of a worker's empty rings to a position. */
  private setRings(worker: number, position: number): void {
    const own = this.memory.workers[worker];
    const control = controlOf(own);
    for (const front of own.links.keys()) {
      for (const end of [replyProducer, replyConsumer]) end(own, front).resumeAt(position);
      const link = new ShardLink(this.memory, worker, front);
      control[link.replyWord] = position;
      for (const ring of commandProducers(own, front)) ring.resumeAt(position);
      for (const { lane, positionWord } of link.queues) {
        commandConsumer(own, front, lane).resumeAt(position);
        control[positionWord] = position;
      }
    }
    const { storage } = this.memory;
    if (storage === undefined) return;
    new RingProducer(own.sab, own.events, own.eventRingBytes).resumeAt(position);
    new RingConsumer(own.sab, own.events, own.eventRingBytes).resumeAt(position);
    control[Control.EVENT_POSITION] = position;
    storageControlOf(storage)[durableWord(worker)] = position;
  }

  private total(word: number): number {
    return this.memory.workers.reduce((sum, own) => sum + controlOf(own)[word], 0);
  }
}
