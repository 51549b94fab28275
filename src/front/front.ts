import { LAYER_COUNT } from '../../protocol/status.ts';
import { Gate } from '../admission/gate.ts';
import type { RateMemory } from '../admission/rate-limits.ts';
import { type AdmissionRules, defaultRules } from '../admission/rules.ts';
import type { Clock } from '../base/clock.ts';
import { Doorbell } from '../ring/doorbell.ts';
import type { RingProducer } from '../ring/producer.ts';
import { add, FrontCell, frontCounters } from '../shard/counters.ts';
import { Durability } from '../shard/durability.ts';
import { strikeFront } from '../shard/faults.ts';
import { HotSkus } from '../shard/hot-skus.ts';
import { commandProducers, replyConsumer } from '../shard/link-rings.ts';
import {
  Control,
  controlOf,
  type EngineMemory,
  FrontControl,
  frontControlOf,
  frontDoorbells,
  Lease,
} from '../shard/memory.ts';
import { Shard } from '../shard/shard.ts';
import { CommandTraces, type CommandTracesOptions, NO_TRACES } from './command-traces.ts';
import { type Connection, Connections } from './connections.ts';
import { noteGate } from './gate-readings.ts';
import { ReplyPump } from './reply-pump.ts';
import { Router, type RouterOptions } from './router.ts';
import { StageSampler } from './stage-sampler.ts';

/** Up to this many commands of a turn, the front runs a sleeping worker's segments itself rather than wake it. */
const BORROW_MOST = 128;
/** With this many commands waiting to be published in the middle of a turn, they are. */
const PUBLISH_EARLY = 256;
/** After so many refusals of HOLDs in a turn, which take some tenths of a millisecond, replies that are ready leave. */
const PUMP_EARLY = 8192;
/** The fallback for a wake-up that never comes. */
const SLEEP_MS = 500;

export interface FrontOptions {
  memory: EngineMemory;
  /** Which of the fronts this is. */
  front: number;
  clock: Clock;
  borrow: boolean;
  /** What the gate goes by; the defaults of a server without authentication unless given. */
  rules?: AdmissionRules;
  /** Where all fronts count what clients ask for; without it nobody's rate is limited. */
  rates?: RateMemory | undefined;
  /** Whether the gate limits anything but rings and what a connection has under way; it does unless told otherwise. */
  gate?: boolean;
  /** Whose commands are traced, and where that is told. Missing: nobody's. */
  traces?: CommandTracesOptions | undefined;
  /** Told of a borrowed shard that threw: its segment is fenced off already. */
  onFault: (error: unknown, segment: number) => void;
  /** See RouterOptions. */
  onAuth?: RouterOptions['onAuth'];
}

/** One worker as the front sees it. */
interface Link {
  readonly shard: Shard;
  readonly control: Int32Array;
  readonly doorbell: Doorbell;
  /** By lane. */
  readonly commands: readonly RingProducer[];
}

/**
 * The front's duty cycle, without its sockets. Frames come in through `router`; endTurn() is called once for each turn of the
 * event loop that brought any, and publishes, wakes or stands in for the workers, and sends the replies that are ready.
 */
export class Front {
  readonly connections: Connections;
  readonly router: Router;
  readonly pump: ReplyPump;
  readonly durability: Durability;
  readonly stages: StageSampler;
  /** See FrontCell. */
  readonly counters: Float64Array;
  readonly gate: Gate;
  private readonly links: readonly Link[];
  private readonly control: Int32Array;
  private readonly owners: Int32Array;
  private readonly doorbell: Doorbell;
  private readonly options: FrontOptions;
  private turnScheduled = false;
  private pending: unknown;
  private readonly ready = (): boolean => this.pump.waiting();
  private readonly turn = (): void => this.endTurn();
  private readonly woken = (): void => this.schedule();

  constructor(options: FrontOptions) {
    const { memory, front } = options;
    this.options = options;
    this.control = frontControlOf(memory, front);
    this.links = memory.workers.map((own, worker) => ({
      shard: new Shard(memory, worker),
      control: controlOf(own),
      doorbell: new Doorbell(own.sab, own.doorbell),
      commands: commandProducers(own, front),
    }));
    this.doorbell = frontDoorbells(memory)[front] as Doorbell;
    this.owners = new Int32Array(memory.owners);
    this.connections = new Connections(front);
    this.counters = frontCounters(memory.counters, front);
    this.gate = new Gate({
      workers: memory.workers.length,
      segments: memory.segments.length,
      fronts: memory.fronts.length,
      rules: options.rules ?? defaultRules(false),
      rates: options.rates,
      on: options.gate ?? true,
      refused: this.counters.subarray(FrontCell.REFUSED, FrontCell.REFUSED + LAYER_COUNT),
    });
    this.stages = new StageSampler(
      memory.stages,
      front,
      this.gate,
      new CommandTraces(options.traces ?? NO_TRACES),
    );
    this.router = new Router({
      commands: this.links.flatMap((link) => link.commands),
      owners: this.owners,
      clock: options.clock,
      stages: this.stages,
      counters: this.counters,
      hot: new HotSkus(memory.counters.hotSkus, front),
      gate: this.gate,
      onAuth: options.onAuth,
    });
    const replies = memory.workers.map((own) => replyConsumer(own, front));
    this.durability = new Durability(memory);
    const gates = memory.storage?.gated ? this.durability : undefined;
    this.pump = new ReplyPump(replies, this.connections, this.stages, this.counters, this.gate, gates);
  }

  /** Which of the fronts this is. */
  get number(): number {
    return this.options.front;
  }

  /** How many segments there are. */
  get segments(): number {
    return this.options.memory.segments.length;
  }

  /**
   * Takes a frame, which may hold no more than MAX_FRAME_BYTES. Its commands are published at the end of the turn, or at once when
   * many wait, so that the workers need not wait for a front that is busy reading.
   */
  onFrame(connection: Connection, frame: Uint8Array, mode: number): void {
    const { router } = this;
    this.schedule();
    router.onFrame(connection, frame, mode);
    if (router.unpublished >= PUBLISH_EARLY) this.publishEarly();
    if (router.refusedUnread >= PUMP_EARLY) this.pumpEarly();
  }

  /** Asks for an endTurn() after the callbacks of this turn of the event loop. */
  schedule(): void {
    if (this.turnScheduled) return;
    this.turnScheduled = true;
    this.gate.nowMs = this.options.clock();
    setImmediate(this.turn);
  }

  /** Call it every TICK_MS: fits what is measured, and what the gate lets through, to what goes on. */
  tick(): void {
    this.stages.tick();
    this.gate.tick(performance.now());
    noteGate(this.gate, this.counters);
  }

  /** Hands the turn's commands over, sends replies, and goes to sleep until there are more. */
  endTurn(): void {
    this.turnScheduled = false;
    strikeFront(this.control);
    if (this.router.unpublished > 0) this.handOver();
    this.doorbell.awake();
    this.router.refusedUnread = 0;
    this.sendReplies();
    this.sleep();
  }

  /** Whether the store stands still: commands that change state are refused, and replies that wait for it let others pass. */
  setStalled(stalled: boolean): void {
    if (stalled === this.router.refusingChanges) return;
    this.router.refusingChanges = stalled;
    this.counters[FrontCell.STALLED] = stalled ? 1 : 0;
    if (stalled) add(this.counters, FrontCell.STALLS, 1);
    this.pump.parking = stalled;
    this.schedule();
  }

  /** The shard of a worker, for whoever takes over from its dead thread. */
  shardOf(worker: number): Shard {
    return (this.links[worker] as Link).shard;
  }

  /** Fronts that show no sign of life. */
  silentFronts(): number[] {
    const { memory } = this.options;
    return memory.fronts.flatMap((_, front) =>
      Atomics.load(frontControlOf(memory, front), FrontControl.SILENT) === 1 ? [front] : [],
    );
  }

  /** Segments that were fenced off after a death in the middle of one of their commands, and are not rebuilt. */
  fencedSegments(): number[] {
    const fenced: number[] = [];
    for (let segment = 0; segment < this.segments; segment++) {
      const worker = Atomics.load(this.owners, segment);
      if (this.shardOf(worker).segmentAt(segment).fenced) fenced.push(segment);
    }
    return fenced;
  }

  private publishEarly(): void {
    this.router.publish();
    for (const link of this.links) link.doorbell.ring();
  }

  /**
   * In a turn that brings far more than can be served, what was admitted goes first: its answers do not wait for the last refusal, and what they
   * make room for is admitted in the same turn.
   */
  private pumpEarly(): void {
    this.router.refusedUnread = 0;
    if (this.router.unpublished > 0) this.publishEarly();
    this.sendReplies();
  }

  private sendReplies(): void {
    const sent = this.pump.pump();
    this.router.inFlight -= sent;
    if (sent > 0) this.wakeBlocked();
  }

  private handOver(): void {
    const { borrow } = this.options;
    const few = borrow && !this.router.heavy && this.router.inFlight <= BORROW_MOST;
    this.router.publish();
    for (const link of this.links) {
      if (link.doorbell.isSleeping() && link.shard.waiting() && !(few && this.standIn(link)))
        link.doorbell.ring();
    }
  }

  /** Runs the commands of a sleeping worker here. False when somebody else has the lease. */
  private standIn(link: Link): boolean {
    const { shard, control } = link;
    if (!shard.acquire(Lease.FRONT)) return false;
    try {
      const done = shard.runCommands(this.options.clock(), BORROW_MOST);
      control[Control.BORROWED] = ((control[Control.BORROWED] as number) + done) | 0;
    } catch (error) {
      this.options.onFault(error, shard.adopt(Lease.FRONT));
    }
    shard.release();
    return !shard.waiting();
  }

  /** A worker that stopped because its reply ring was full can go on now. */
  private wakeBlocked(): void {
    for (const link of this.links) {
      if (link.doorbell.isSleeping() && link.shard.waiting()) link.doorbell.ring();
    }
  }

  private sleep(): void {
    // While nothing is under way nobody has a reason to wake us, and a pass that left replies behind goes on at once.
    if (this.router.inFlight === 0) return;
    const sleep = this.doorbell.sleepAsync(SLEEP_MS, this.ready);
    if (sleep === undefined) {
      this.schedule();
    } else if (sleep !== this.pending) {
      this.pending = sleep;
      sleep.value.then(this.woken);
    }
  }
}
