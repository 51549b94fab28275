import { assert } from '../base/assert.ts';
import { type SegmentOptions, segmentBytes } from '../core/layout.ts';
import { DOORBELL_BYTES, Doorbell } from '../ring/doorbell.ts';
import { ringBytes } from '../ring/layout.ts';
import { allocateCounters, type CounterMemory } from './counters.ts';
import { LANE_NAMES, LANES, laneRingBytes } from './lanes.ts';
import { allocateStages, type StageMemory } from './stage-memory.ts';

/** Most fronts whose positions the control block has room for. */
export const MAX_FRONTS = 32;

/** Words of a worker's control block. Each has one writer at a time. */
export const Control = {
  /** Who runs the worker's segments now: see Lease. */
  LEASE: 0,
  /** 1 asks the worker to finish what waits and end. */
  STOP: 1,
  /** Set while a segment is being changed: its number + 1, negative while holds expire in it. Survives the thread's death. */
  MARK: 32,
  /** Low 32 bits of the LSN that the marked segment had before the change. */
  MARK_LSN: 33,
  /** The number of the queue that its command is from, see CommandQueue. */
  MARK_QUEUE: 34,
  /** The event ring's position behind the last change that was made whole. */
  EVENT_POSITION: 35,
  /**
   * Positions behind the last command that was answered whole: of the reply ring of each front, and of the command ring of each front and
   * lane.
   */
  REPLY_POSITIONS: 36,
  COMMAND_POSITIONS: 36 + MAX_FRONTS,
  /** Goes up with every duty cycle, also an idle one. */
  HEARTBEAT: 192,
  /** Commands run, by the worker and by the front for it; wrap around. */
  COMMANDS: 193,
  BORROWED: 194,
  /** The longest turn in which the worker did something, in µs; whoever measures sets it back. */
  LONGEST_TURN_US: 195,
  /** A fault that a test asks for: see Fault in faults.ts. Its argument. */
  FAULT: 224,
  FAULT_SEGMENT: 225,
  /** A segment to copy for a snapshot, its number + 1; the worker sets it to 0 when it has. */
  COPY: 226,
  /** Words of that copy, 0 when the segment is fenced off; and the event ring's position at it. */
  COPY_WORDS: 227,
  COPY_POSITION: 228,
  WORDS: 256,
} as const;

/** Words of the block that a front shares with the others and with whoever wakes it. */
export const FrontControl = {
  DOORBELL: 0,
  /** WebSockets that this front has open, and all that it ever had; the latter wraps around. */
  CONNECTIONS: 32,
  ACCEPTED: 33,
  /** 1 when the front's thread has no socket left, and may end. */
  ENDED: 34,
  /** 1 has the front's next turn throw, for a test; more has it hang for so many ms. */
  FAULT: 35,
  /** Goes up while the front's loop turns; and, written by who watches it, 1 while it does not. */
  HEARTBEAT: 36,
  SILENT: 37,
  WORDS: 64,
} as const;

export const Lease = { FREE: 0, WORKER: 1, FRONT: 2 } as const;

/** Words of the block that the storage thread, the workers and the front share. */
export const StorageControl = {
  DOORBELL: 0,
  /** 1 asks the storage thread to make durable what waits, and end. */
  STOP: 32,
  /** Groups made durable so far; wraps around. */
  GROUPS: 64,
  /** Journal that a start would have to read, KiB. */
  JOURNAL_KIB: 65,
  /** From here on for each worker, a pair of cache lines apart: position in its event ring up to which all is durable. */
  DURABLE: 96,
  DURABLE_STRIDE: 32,
} as const;

const CONTROL_BYTES = Control.WORDS * 4;
assert(
  Control.COMMAND_POSITIONS + MAX_FRONTS * LANES <= Control.HEARTBEAT,
  'there is a word for the position of every queue',
);
const ALIGNMENT = 128;

/** Where a ring lies in its worker's buffer, and how much it holds. */
export interface RingMemory {
  readonly at: number;
  readonly bytes: number;
}

/** The rings between one front and one worker, each with one writer and one reader. */
export interface LinkMemory {
  /** By lane. */
  readonly commands: readonly RingMemory[];
  readonly replies: RingMemory;
}

/** Everything that one worker shares with the fronts and the storage thread, in one buffer. */
export interface WorkerMemory {
  readonly sab: SharedArrayBuffer;
  readonly doorbell: number;
  /** One for each front. */
  readonly links: readonly LinkMemory[];
  /** Event ring; 0 bytes when nothing is stored. */
  readonly events: number;
  readonly eventRingBytes: number;
}

/** What the storage thread shares with the others. */
export interface StorageMemory {
  readonly control: SharedArrayBuffer;
  /** One segment's copy at a time, for a snapshot. */
  readonly copy: SharedArrayBuffer;
  /** Whether replies wait until what they tell is durable. */
  readonly gated: boolean;
}

/** All shared memory of an engine. Structured-cloneable, so that it can be handed to threads as it is. */
export interface EngineMemory {
  readonly segments: readonly SharedArrayBuffer[];
  readonly segmentOptions: SegmentOptions;
  /** Worker that owns each segment, Int32. */
  readonly owners: SharedArrayBuffer;
  readonly workers: readonly WorkerMemory[];
  /** Control block of each front, see FrontControl. */
  readonly fronts: readonly SharedArrayBuffer[];
  readonly stages: StageMemory;
  readonly counters: CounterMemory;
  /** Missing when nothing is stored. */
  readonly storage?: StorageMemory;
}

export interface EngineOptions {
  fronts: number;
  workers: number;
  segments: number;
  segment: SegmentOptions;
  /** Of each pair of a front and a worker; powers of two. Of the command rings, the normal lane's: see laneRingBytes(). */
  commandRingBytes: number;
  replyRingBytes: number;
  /** Given when there is a store. `ringBytes`: event ring of each worker, a power of two. */
  events?: { ringBytes: number; gated: boolean };
}

/** Reserves an engine's memory, zeroed: every table and ring is empty. Segments go to the workers in turn. */
export function allocateEngine(options: EngineOptions): EngineMemory {
  if (options.fronts > MAX_FRONTS) throw new Error(`${options.fronts} fronts are more than ${MAX_FRONTS}`);
  const owners = new SharedArrayBuffer(options.segments * 4);
  const owner = new Int32Array(owners);
  for (let segment = 0; segment < options.segments; segment++) owner[segment] = segment % options.workers;
  return {
    segments: Array.from(
      { length: options.segments },
      () => new SharedArrayBuffer(segmentBytes(options.segment)),
    ),
    segmentOptions: options.segment,
    owners,
    workers: Array.from({ length: options.workers }, () => allocateWorker(options)),
    fronts: Array.from({ length: options.fronts }, () => new SharedArrayBuffer(FrontControl.WORDS * 4)),
    stages: allocateStages(options.fronts, options.workers),
    counters: allocateCounters(options.fronts, options.workers),
    ...(options.events && { storage: allocateStorage(options, options.events.gated) }),
  };
}

function allocateStorage(options: EngineOptions, gated: boolean): StorageMemory {
  const words = StorageControl.DURABLE + options.workers * StorageControl.DURABLE_STRIDE;
  return {
    control: new SharedArrayBuffer(words * 4),
    copy: new SharedArrayBuffer(segmentBytes(options.segment)),
    gated,
  };
}

function allocateWorker(options: EngineOptions): WorkerMemory {
  const { fronts, commandRingBytes, replyRingBytes } = options;
  const doorbell = align(CONTROL_BYTES);
  let end = align(doorbell + DOORBELL_BYTES);
  const place = (bytes: number): RingMemory => {
    const at = end;
    end += align(ringBytes(bytes));
    return { at, bytes };
  };
  const links = Array.from({ length: fronts }, () => ({
    commands: LANE_NAMES.map((_, lane) => place(laneRingBytes(lane, commandRingBytes))),
    replies: place(replyRingBytes),
  }));
  const events = end;
  const eventRingBytes = options.events?.ringBytes ?? 0;
  const sab = new SharedArrayBuffer(align(events + (eventRingBytes === 0 ? 0 : ringBytes(eventRingBytes))));
  return { sab, doorbell, links, events, eventRingBytes };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** View of a worker's control block. */
export function controlOf(memory: WorkerMemory): Int32Array {
  return new Int32Array(memory.sab, 0, Control.WORDS);
}

/** View of a front's control block. */
export function frontControlOf(memory: EngineMemory, front: number): Int32Array {
  const control = memory.fronts[front];
  if (control === undefined) throw new RangeError(`there is no front ${front}`);
  return new Int32Array(control);
}

/** The doorbell of each front. */
export function frontDoorbells(memory: EngineMemory): Doorbell[] {
  return memory.fronts.map((control) => new Doorbell(control, FrontControl.DOORBELL * 4));
}

/** View of the storage thread's control block. */
export function storageControlOf(storage: StorageMemory): Int32Array {
  return new Int32Array(storage.control);
}

/** Word at which a worker's durable position stands. */
export function durableWord(worker: number): number {
  return StorageControl.DURABLE + worker * StorageControl.DURABLE_STRIDE;
}
