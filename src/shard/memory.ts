import { type SegmentOptions, segmentBytes } from '../core/layout.ts';
import { DOORBELL_BYTES } from '../ring/doorbell.ts';
import { ringBytes } from '../ring/layout.ts';

/** Words of a worker's control block. Each has one writer at a time. */
export const Control = {
  /** Who runs the worker's segments now: see Lease. */
  LEASE: 0,
  /** 1 asks the worker to finish what waits and end. */
  STOP: 1,
  /** Set while a segment is being changed: its number + 1, negative while holds expire in it. Survives the thread's death. */
  MARK: 32,
  /** Ring positions behind the last command that was answered whole. */
  COMMAND_POSITION: 33,
  REPLY_POSITION: 34,
  /** Goes up with every duty cycle, also an idle one. */
  HEARTBEAT: 64,
  /** Commands run, by the worker and by the front for it; wrap around. */
  COMMANDS: 65,
  BORROWED: 66,
  /** The longest turn in which the worker did something, in µs; whoever measures sets it back. */
  LONGEST_TURN_US: 67,
  /** A fault that a test asks for: see Fault in faults.ts. Its argument. */
  FAULT: 96,
  FAULT_SEGMENT: 97,
  WORDS: 128,
} as const;

export const Lease = { FREE: 0, WORKER: 1, FRONT: 2 } as const;

const CONTROL_BYTES = Control.WORDS * 4;
const ALIGNMENT = 128;

/** Everything that front and one worker share, in one buffer. */
export interface WorkerMemory {
  readonly sab: SharedArrayBuffer;
  readonly doorbell: number;
  readonly commands: number;
  readonly commandRingBytes: number;
  readonly replies: number;
  readonly replyRingBytes: number;
}

/** All shared memory of an engine. Structured-cloneable, so that it can be handed to threads as it is. */
export interface EngineMemory {
  readonly segments: readonly SharedArrayBuffer[];
  readonly segmentOptions: SegmentOptions;
  /** Worker that owns each segment, Int32. */
  readonly owners: SharedArrayBuffer;
  readonly workers: readonly WorkerMemory[];
  readonly frontDoorbell: SharedArrayBuffer;
}

export interface EngineOptions {
  workers: number;
  segments: number;
  segment: SegmentOptions;
  /** Powers of two. */
  commandRingBytes: number;
  replyRingBytes: number;
}

/** Reserves an engine's memory, zeroed: every table and ring is empty. Segments go to the workers in turn. */
export function allocateEngine(options: EngineOptions): EngineMemory {
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
    frontDoorbell: new SharedArrayBuffer(DOORBELL_BYTES),
  };
}

function allocateWorker(options: EngineOptions): WorkerMemory {
  const doorbell = align(CONTROL_BYTES);
  const commands = align(doorbell + DOORBELL_BYTES);
  const replies = align(commands + ringBytes(options.commandRingBytes));
  return {
    sab: new SharedArrayBuffer(align(replies + ringBytes(options.replyRingBytes))),
    doorbell,
    commands,
    commandRingBytes: options.commandRingBytes,
    replies,
    replyRingBytes: options.replyRingBytes,
  };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** View of a worker's control block. */
export function controlOf(memory: WorkerMemory): Int32Array {
  return new Int32Array(memory.sab, 0, Control.WORDS);
}
