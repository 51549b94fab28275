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
import { CommandTraces, NO_TRACES } from './command-traces.ts';

/** How often tick() is to be called. */
export const TICK_MS = 100;
const TICKS_PER_SECOND = 1000 / TICK_MS;
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
  /** Who asked that the next command be traced, and the slots of such. */
  readonly traces: CommandTraces;
  /** While one is expected: what `next` is but for it, and when it was asked for. */
  private due = 0;
  private tracedUs = 0;
  /** Whether a slot's command is timed only because it is traced: a client must not choose what is measured. */
  private readonly chosen = new Uint8Array(SLOTS);
  private ticks = 0;
  private oneIn = 1;
  private left = SAMPLES_PER_TICK;
  /** Of each slot's command, for the gate. */
  private readonly segments = new Int32Array(SLOTS);
  private readonly ops = new Uint8Array(SLOTS);
  private readonly statuses = new Uint8Array(SLOTS);
  private readonly probes = new Uint8Array(SLOTS);
  private readonly gate: Gate | undefined;

  /** @param gate told of every command that was timed; @param traces what clients want traced */
  constructor(memory: StageMemory, front: number, gate?: Gate, traces = new CommandTraces(NO_TRACES)) {
    this.gate = gate;
    this.traces = traces;
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

  /** A client wants the command that comes now traced: it is timed, whoever's turn it is. */
  expectTraced(unpublished: number): void {
    this.due = this.next;
    this.next = unpublished;
    this.tracedUs = this.clock();
  }

  /** The command to be traced did not go into a ring. The front answered it with `status`, or -1: nothing came of it. */
  notTaken(op: number, status: number): void {
    this.next = this.due;
    if (status < 0) this.traces.pending = false;
    else this.traces.answered(op, status, Math.max(0, (this.clock() - this.tracedUs) | 0));
  }

  /**
   * A command goes into a worker's ring whose turn it is (see `next`), or that is timed out of turn: one to be traced, or a circuit
   * breaker's probe. Returns its slot, or 0 when all are taken: it is not timed then.
   */
  take(worker: number, segment: number, op: number, unpublished: number, probe: boolean): number {
    const { traces } = this;
    const traced = traces.pending;
    if (traced) this.next = this.due;
    const ownTurn = this.next === unpublished;
    if (ownTurn) {
      if (--this.left === 0) this.setOneIn(this.oneIn * 2, SAMPLES_PER_TICK);
      // Any distance up to twice the mean is as likely as another.
      this.next += 1 + this.random.below(2 * this.oneIn - 1);
    } else if (!traced) {
      this.arrivedUs = this.clock();
    }
    const slot = this.freeCount === 0 ? 0 : (this.free[--this.freeCount] as number);
    if (traced) traces.attach(slot, op, segment, worker);
    if (slot === 0) return 0;
    this.claimed[this.claimedCount++] = slot;
    this.chosen[slot] = ownTurn || probe ? 0 : 1;
    const { slots } = this.views;
    const row = slot * Slot.WORDS;
    slots[row + Slot.ARRIVED] = traced ? this.tracedUs : this.arrivedUs;
    slots[row + Slot.WORKER] = worker;
    this.segments[slot] = segment;
    this.ops[slot] = op;
    this.probes[slot] = probe ? 1 : 0;
    return slot;
  }

  /** How many commands the one stands for that was just given a slot; 0 when its client chose that it is timed. */
  weightOf(slot: number): number {
    return this.chosen[slot] === 0 ? this.oneIn : 0;
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
    const trace = this.traces.at(slot);
    if (trace !== undefined) trace.status = status;
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
    if (++this.ticks % TICKS_PER_SECOND === 0) this.traces.refill();
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
    if (this.traces.at(slot) !== undefined) this.traces.finish(slot, this.stagesOf(slot, nowUs));
    if (this.chosen[slot] === 0) this.count(slot, nowUs);
    this.free[this.freeCount++] = slot;
  }

  private count(slot: number, nowUs: number): void {
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
  }

  private stagesOf(slot: number, nowUs: number): number[] {
    const row = slot * Slot.WORDS;
    const points = [...this.views.slots.subarray(row + Slot.ARRIVED, row + Slot.DURABLE + 1), nowUs];
    return points.slice(1).map((until, i) => Math.max(0, (until - (points[i] as number)) | 0));
  }
}
