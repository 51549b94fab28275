import { recordBytes } from '../../src/ring/layout.ts';
import { LANES, Lane } from '../../src/shard/lanes.ts';
import type { EngineMemory } from '../../src/shard/memory.ts';
import { COMMAND_HEAD_BYTES, STAMP_BYTES } from '../../src/shard/records.ts';
import type { Command } from './commands.ts';
import type { Sent } from './session.ts';
import type { RingPair } from './tap.ts';

/** A lane of the commands from one front to one worker. */
export interface LanePair extends RingPair {
  readonly lane: number;
}

/** What is under way in one lane from one front to one worker. */
export interface Line {
  /** Commands in its ring, in the order in which they were put there. */
  readonly waiting: Sent[];
  /** Bytes that its ring holds. */
  readonly ringBytes: number;
  /** Bytes of the ring that they take, and those applied whose room was not given back yet. */
  waitingBytes: number;
  appliedBytes: number;
}

/** Array header and op. */
const BYTES_BEFORE_REQUEST = 2;

/** The lines between all fronts and workers of an engine whose rings are empty: one for each lane. */
export class Lines {
  readonly all: readonly Line[];
  private readonly fronts: number;

  constructor(memory: EngineMemory) {
    const rings = memory.workers.flatMap(({ links }) => links.flatMap(({ commands }) => commands));
    this.all = rings.map(({ bytes }) => ({
      ...{ waiting: [], ringBytes: bytes },
      ...{ waitingBytes: 0, appliedBytes: 0 },
    }));
    this.fronts = memory.fronts.length;
  }

  of({ worker, front, lane }: LanePair): Line {
    return this.all[(worker * this.fronts + front) * LANES + lane];
  }

  /** Whether a command on a hold waits that was sent before this one. */
  isHeldBack(pair: RingPair, { order }: Sent): boolean {
    const [first] = this.of({ ...pair, lane: Lane.SETTLE }).waiting;
    return first !== undefined && first.order < order;
  }
}

/** Most bytes of the ring that a command takes: all of it but its op and what stands before, and a stamp. */
export function bytesOf(command: Command): number {
  return recordBytes(STAMP_BYTES + COMMAND_HEAD_BYTES + command.bytes.length - BYTES_BEFORE_REQUEST);
}
