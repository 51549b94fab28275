import { performance } from 'node:perf_hooks';
import type { Gate } from '../admission/gate.ts';
import { microClock } from '../base/clock.ts';
import { Prng } from '../base/prng.ts';
import { bucketOf } from '../shard/stage-histogram.ts';
import {
  FrontStages,
  histogramStart,
  Publications,
  SLOTS,
  Slot,
  type StageMemory,
} from '../shard/stage-memory.ts';

/** How often tick() is to be called. */
export const TICK_MS = 100;
/** Commands timed between two ticks. Each costs some half a microsecond on all threads together, so this is a quarter of a percent of one. */
const SAMPLES_PER_TICK = 200;

/**
 * The front's side of the stage clocks. Times one command in `oneIn`, chosen at random distances, so that no command's place in its
 * frame is preferred; while few come, every one. A timed command carries the number of a slot, in which every thread on its way writes
 * down when it passed; when its reply leaves, this adds the differences to the histograms. For each command there is one reply, whatever dies
 * meanwhile, so every slot comes back.
 */
export class StageSampler {
  /** The next command that is to be timed: as so many commands that go into rings before it and are not published. */
  next = 0;
  /** Commands published in this tick. */
  private published = 0;
  private readonly views: FrontStages;
  private readonly histograms: readonly Float64Array[];
  private readonly publications: Publications;
  private readonly clock = microClock();
  private readonly random = new Prng(1);
  private readonly free = Int32Array.from({ length: SLOTS - 1 }, (_, i) => i + 1);
  private freeCount = SLOTS - 1;
  private readonly claimed = new Int32Array(SLOTS);
  private claimedCount = 0;
  private readonly leaving = new Int32Array(SLOTS);
  private leavingCount = 0;
  private arrivedUs = 0;
  private oneIn = 1;
  private left = SAMPLES_PER_TICK;
  /** Of each slot's command, for the gate. */
  private readonly segments = new Int32Array(SLOTS);
  private readonly ops = new Uint8Array(SLOTS);
  private readonly statuses = new Uint8Array(SLOTS);
  private readonly probes = new Uint8Array(SLOTS);
  private readonly gate: Gate | undefined;

  /** @param gate told of every command that was timed */
  constructor(memory: StageMemory, front: number, gate?: Gate) {
    this.gate = gate;
    this.views = new FrontStages(memory, front);
    const workers = Array.from({ length: memory.workers }, (_, worker) => worker);
    this.histograms = workers.map((worker) => this.views.histograms(worker));
    this.publications = new Publications(memory);
    this.views.header[0] = 1;
  }

  /** A frame with at most so many commands has arrived, while others wait to be published. */
  arrive(commands: number, unpublished: number): void {
    if (this.next < unpublished + commands) this.arrivedUs = this.clock();
  }

  /** The command whose turn it is (see `next`) goes into a worker's ring. Returns its slot, or 0 when all are taken: it is not timed then. */
  take(worker: number, segment: number, op: number): number {
    if (--this.left === 0) this.setOneIn(this.oneIn * 2, SAMPLES_PER_TICK);
    // Any distance up to twice the mean is as likely as another.
    this.next += 1 + this.random.below(2 * this.oneIn - 1);
    return this.claim(worker, segment, op, false);
  }

  /** A circuit breaker's probe goes into a worker's ring, and is timed out of turn. Returns its slot, or 0 as take() does. */
  takeProbe(worker: number, segment: number, op: number): number {
    this.arrivedUs = this.clock();
    return this.claim(worker, segment, op, true);
  }

  private claim(worker: number, segment: number, op: number, probe: boolean): number {
    if (this.freeCount === 0) return 0;
    const slot = this.free[--this.freeCount] as number;
    this.claimed[this.claimedCount++] = slot;
    const { slots } = this.views;
    const row = slot * Slot.WORDS;
    slots[row + Slot.ARRIVED] = this.arrivedUs;
    slots[row + Slot.WORKER] = worker;
    this.segments[slot] = segment;
    this.ops[slot] = op;
    this.probes[slot] = probe ? 1 : 0;
    return slot;
  }

  /** So many commands are about to become visible: behind that their slots are the workers'. */
  publish(commands: number): void {
    // Never one that has passed: a tick may have brought it nearer than what waited.
    this.next = Math.max(0, this.next - commands);
    this.published += commands;
    if (this.claimedCount === 0) return;
    const { slots } = this.views;
    const now = this.clock();
    for (let i = 0; i < this.claimedCount; i++) {
      const row = (this.claimed[i] as number) * Slot.WORDS;
      slots[row + Slot.PUBLISHED] = now;
      // A thread that dies over the command does not say when it took it, or when it replied.
      slots[row + Slot.TAKEN] = now;
      slots[row + Slot.REPLIED] = now;
    }
    this.claimedCount = 0;
  }

  /** The reply of a timed command may leave. `gate`: position in the worker's event ring that it waited for, when `gated`. */
  leave(slot: number, status: number, gated: boolean, gate: number): void {
    const { slots } = this.views;
    const row = slot * Slot.WORDS;
    const replied = slots[row + Slot.REPLIED] as number;
    let durable = replied;
    if (gated) {
      const reached = this.publications.reachedUs(slots[row + Slot.WORKER] as number, gate, replied);
      if (((reached - replied) | 0) > 0) durable = reached;
    }
    slots[row + Slot.DURABLE] = durable;
    this.statuses[slot] = status;
    this.leaving[this.leavingCount++] = slot;
  }

  /** The replies that might leave have been handed to their sockets. */
  sent(): void {
    if (this.leavingCount === 0) return;
    const now = this.clock();
    for (let i = 0; i < this.leavingCount; i++) this.finish(this.leaving[i] as number, now);
    this.leavingCount = 0;
  }

  /** Call it every TICK_MS: fits the share of commands that are timed to how many come, and notes how busy this thread was. */
  tick(): void {
    this.setOneIn(Math.max(1, Math.ceil(this.published / SAMPLES_PER_TICK)), 2 * SAMPLES_PER_TICK);
    this.published = 0;
    // What was far off while many came need not be now.
    this.next = Math.min(this.next, 2 * this.oneIn);
    this.noteTimes();
  }

  /** Writes down how busy this thread has been up to now. */
  noteTimes(): void {
    const { active, idle } = performance.eventLoopUtilization();
    this.views.times[0] = active * 1000;
    this.views.times[1] = idle * 1000;
    const { user, system } = process.threadCpuUsage();
    this.views.times[2] = user + system;
  }

  private setOneIn(oneIn: number, left: number): void {
    this.oneIn = oneIn;
    this.left = left;
    this.views.header[0] = oneIn;
  }

  private finish(slot: number, nowUs: number): void {
    const { slots } = this.views;
    const row = slot * Slot.WORDS;
    const histogram = this.histograms[slots[row + Slot.WORKER] as number] as Float64Array;
    // The points lie in the order of the stages.
    for (let point: number = Slot.ARRIVED; point <= Slot.DURABLE; point++) {
      const until = point === Slot.DURABLE ? nowUs : (slots[row + point + 1] as number);
      const tookUs = Math.max(0, (until - (slots[row + point] as number)) | 0);
      const start = histogramStart(point);
      histogram[start] = (histogram[start] as number) + tookUs;
      const bucket = start + 1 + bucketOf(tookUs);
      histogram[bucket] = (histogram[bucket] as number) + 1;
    }
    const arrived = slots[row + Slot.ARRIVED] as number;
    this.gate?.note(
      slots[row + Slot.WORKER] as number,
      this.segments[slot] as number,
      this.ops[slot] as number,
      this.statuses[slot] as number,
      (((slots[row + Slot.TAKEN] as number) - arrived) | 0) / 1000,
      ((nowUs - arrived) | 0) / 1000,
      this.probes[slot] === 1,
    );
    this.free[this.freeCount++] = slot;
  }
}
