import type { RingConsumer } from '../ring/consumer.ts';
import type { RingProducer } from '../ring/producer.ts';
import { eventReserveBytes, LANES } from './lanes.ts';
import { commandConsumer } from './link-rings.ts';
import { Control, type WorkerMemory } from './memory.ts';
import { REPLY_RECORD_BYTES } from './records.ts';

/**
 * The worker's end of one lane of commands from one front: first in, first out.
 *
 * Commands on SKUs wait for all commands on holds that their front had put into its settle lane before them. So what a client sends on
 * holds may overtake what it sent on SKUs, never the other way round: a HOLD behind a RELEASE finds the units that came back.
 */
export class CommandQueue {
  readonly front: number;
  readonly lane: number;
  readonly ring: RingConsumer;
  /** The queue's number among those of its worker. */
  readonly number: number;
  /** Word of the control block for the position behind the last command that was answered whole. */
  readonly positionWord: number;
  /** Bytes of the event ring that its commands have to leave free. */
  readonly eventReserve: number;
  private readonly replies: RingProducer;
  /** The same front's settle lane; undefined for that lane itself. */
  private readonly settle: RingConsumer | undefined;

  /** @param replies towards the same front */
  constructor(
    own: WorkerMemory,
    front: number,
    lane: number,
    replies: RingProducer,
    settle: RingConsumer | undefined,
  ) {
    this.front = front;
    this.lane = lane;
    this.ring = commandConsumer(own, front, lane);
    this.number = front * LANES + lane;
    this.positionWord = Control.COMMAND_POSITIONS + this.number;
    this.eventReserve = eventReserveBytes(lane, own.eventRingBytes);
    this.replies = replies;
    this.settle = settle;
  }

  /** Whether the first command may be taken: it is there, nothing goes before it, and its reply has room. */
  ready(): boolean {
    const { ring } = this;
    if (!ring.look() || !this.replies.hasRoom(REPLY_RECORD_BYTES)) return false;
    if (this.settle === undefined) return true;
    const at = ring.next();
    const waits = ring.tag < 0 && this.mustWait(at);
    ring.back();
    return !waits;
  }

  /** Whether the commands on holds are not done yet that go before a stamped command, whose record is at `at` in the ring. */
  mustWait(at: number): boolean {
    const { settle, ring } = this;
    return settle !== undefined && ((settle.position - (ring.i32[at >> 2] as number)) | 0) < 0;
  }
}
