import type { Prng } from '../../src/base/prng.ts';
import { MAX_EXPIRY_EVENT_BYTES } from '../../src/core/events.ts';
import { strike } from '../../src/shard/faults.ts';
import { Control, type EngineMemory, Lease } from '../../src/shard/memory.ts';
import { Shard } from '../../src/shard/shard.ts';
import { hasEventRoom } from './event-ring.ts';
import { Death, isPlanted, type Tap } from './tap.ts';

/** What a worker does next: the steps of its duty cycle, between which anything else may happen. */
type Phase = 'start' | 'commands' | 'publish' | 'expiry' | 'release' | 'doze' | 'look' | 'asleep' | 'dead';

/** What a simulated worker needs to know of the world. */
export interface WorkerWorld {
  readonly memory: EngineMemory;
  readonly prng: Prng;
  readonly tap: Tap;
  /** The worker's own clock. */
  readonly clock: () => number;
  readonly count: (what: string) => void;
  readonly complain: (what: string) => void;
  /** Told when an expiry found nothing more to do. */
  readonly swept: (worker: number) => void;
  readonly tamper: (shard: Shard) => void;
}

/** Longest sleeps, as in the worker's own loop: while holds are open, and else. */
const EXPIRY_SLEEP_MS = 8;
const IDLE_SLEEP_MS = 100;
const SLEEPING_WORD = 0;

/**
 * A worker thread, cut into steps: the loop of src/shard/worker-loop.ts with its waits turned inside out, so that the
 * scheduler decides how far it gets before somebody else has a turn, and whether it dies there.
 */
export class SimWorker {
  readonly number: number;
  phase: Phase = 'start';
  shard: Shard;
  private readonly world: WorkerWorld;
  private readonly sleeping: Int32Array;
  private now = 0;
  private work = 0;
  private sleepMs = 0;
  private wakeAt = 0;

  constructor(number: number, world: WorkerWorld) {
    this.number = number;
    this.world = world;
    const own = world.memory.workers[number];
    this.sleeping = new Int32Array(own.sab, own.doorbell, 1);
    this.shard = this.open();
  }

  /** Takes one step. Returns whether the worker had anything to do, as far as it can tell. */
  step(): boolean {
    try {
      return this.takeStep();
    } catch (error) {
      if (isPlanted(error) && this.phase === 'start') this.world.count('death-idle');
      else if (!(error instanceof Death) && !isPlanted(error)) throw error;
      this.phase = 'dead';
      return true;
    }
  }

  /** The thread is asked to end, and publishes what it has done first. */
  end(): void {
    if (this.shard.control[Control.LEASE] === Lease.WORKER) this.shard.release();
    this.phase = 'dead';
  }

  /** The thread ends where it stands. */
  die(): void {
    const { shard } = this;
    const leased = shard.control[Control.LEASE] === Lease.WORKER;
    const unpublished = leased && shard.links.some(({ replies }) => replies.unpublished);
    this.world.count(unpublished ? 'death-unpublished' : leased ? 'death-leased' : 'death-asleep');
    this.phase = 'dead';
  }

  /** A new thread in the place of a dead one; what that left behind is in order again. */
  restart(): void {
    this.shard = this.open();
    this.sleeping[SLEEPING_WORD] = 0;
    this.phase = 'start';
  }

  private open(): Shard {
    const shard = new Shard(this.world.memory, this.number);
    this.world.tamper(shard);
    return this.world.tap.watch(shard);
  }

  private takeStep(): boolean {
    const { shard, world } = this;
    switch (this.phase) {
      case 'start':
        strike(shard.control, -1);
        if (!shard.acquire(Lease.WORKER)) throw new Error('the front keeps the lease between two steps');
        this.phase = 'commands';
        return true;
      case 'commands':
        this.now = world.clock();
        this.work = this.runCommands();
        this.phase = 'publish';
        return true;
      case 'publish':
        shard.publish();
        shard.copyAsked();
        this.phase = world.prng.oneIn(4) ? 'release' : 'expiry';
        return true;
      case 'expiry':
        this.expire();
        this.phase = 'release';
        return true;
      case 'release':
        this.sleepMs = shard.anyOpen() ? EXPIRY_SLEEP_MS : IDLE_SLEEP_MS;
        shard.release();
        this.phase = this.work > 0 ? 'start' : 'doze';
        return true;
      case 'doze':
        this.sleeping[SLEEPING_WORD] = 1;
        this.phase = 'look';
        return true;
      case 'look':
        if (shard.waiting()) return this.wake();
        this.wakeAt = world.clock() + this.sleepMs;
        this.phase = 'asleep';
        world.count('slept');
        return false;
      case 'asleep':
        return this.sleep();
      default:
        return false;
    }
  }

  private runCommands(): number {
    const { shard, world } = this;
    const most = world.prng.oneIn(3) ? 256 : 1 + world.prng.below(12);
    const done = shard.runCommands(this.now, most);
    const left = shard.links.some(({ queues }) => queues.some(({ ring }) => ring.fill() > 0));
    if (done < most && left) world.count('replies-full');
    return done;
  }

  private expire(): void {
    const { shard, world } = this;
    const budget = world.prng.oneIn(2) ? 1024 : 1 + world.prng.below(8);
    const ended = shard.runExpiry(this.now, budget);
    const own = world.memory.workers[this.number];
    if (ended === budget) world.count('expiry-sliced');
    else if (own.eventRingBytes === 0 || hasEventRoom(own, budget * MAX_EXPIRY_EVENT_BYTES))
      world.swept(this.number);
    this.work += ended;
  }

  private sleep(): boolean {
    if (this.sleeping[SLEEPING_WORD] === 0) {
      this.world.count('rung');
      return this.wake();
    }
    if (this.world.clock() < this.wakeAt) return false;
    if (this.shard.waiting()) this.world.complain(`worker ${this.number} slept on while commands waited`);
    return this.wake();
  }

  private wake(): boolean {
    this.sleeping[SLEEPING_WORD] = 0;
    this.phase = 'start';
    return true;
  }
}
