import { Writer } from '../../protocol/writer.ts';
import type { RingProducer } from '../ring/producer.ts';
import { CommandQueue } from './command-queue.ts';
import type { Durability } from './durability.ts';
import { LANE_NAMES, LANES, Lane } from './lanes.ts';
import { replyProducer } from './link-rings.ts';
import { Control, controlOf, type EngineMemory } from './memory.ts';
import { REPLY_RECORD_BYTES } from './records.ts';
import { StageStamps } from './stage-stamps.ts';

/** A worker's end of the rings that it shares with one front: commands come out of those of the lanes, replies go into the other. */
export class ShardLink {
  readonly front: number;
  /** By lane. */
  readonly queues: readonly CommandQueue[];
  readonly replies: RingProducer;
  /** Writes into the reply ring. */
  readonly writer: Writer;
  readonly stamps: StageStamps;
  /** Word of the control block for the position of the replies behind the last command that was answered whole. */
  readonly replyWord: number;
  private readonly control: Int32Array;
  /** The first reply since the front was last thought of: whether it waits for durability, and for which position. */
  private firstGated = false;
  private firstGate = 0;
  private anyReplies = false;

  constructor(memory: EngineMemory, worker: number, front: number) {
    const own = memory.workers[worker];
    if (own === undefined) throw new RangeError(`there is no worker ${worker}`);
    this.front = front;
    const replies = replyProducer(own, front);
    const settle = new CommandQueue(own, front, Lane.SETTLE, replies, undefined);
    this.replies = replies;
    this.queues = LANE_NAMES.map((_, lane) =>
      lane === Lane.SETTLE ? settle : new CommandQueue(own, front, lane, replies, settle.ring),
    );
    this.stamps = new StageStamps(memory.stages, front);
    this.writer = new Writer(this.replies.u8);
    this.control = controlOf(own);
    this.replyWord = Control.REPLY_POSITIONS + front;
  }

  /** Takes the rings' positions from shared memory, for a thread that begins to work on them. */
  refresh(): void {
    const { queues } = this;
    for (let lane = 0; lane < LANES; lane++) (queues[lane] as CommandQueue).ring.refresh();
    this.replies.refresh();
  }

  /** Whether commands wait and can be answered. For who does not hold the lease: reads the positions anew. */
  waiting(): boolean {
    const { queues } = this;
    for (let lane = 0; lane < LANES; lane++) {
      const { ring } = queues[lane] as CommandQueue;
      ring.refresh();
      if (!ring.look()) continue;
      this.replies.refresh();
      return this.replies.hasRoom(REPLY_RECORD_BYTES);
    }
    return false;
  }

  /** Makes replies visible to the front, and gives the room of their commands back. */
  publish(): void {
    const { queues } = this;
    this.stamps.publish();
    this.replies.publish();
    for (let lane = 0; lane < LANES; lane++) (queues[lane] as CommandQueue).ring.release();
  }

  /** Notes that a reply was written, and that it leaves when the event ring is durable up to `gate`, if it is gated. */
  noteReply(gated: boolean, gate: number): void {
    if (this.anyReplies) return;
    this.anyReplies = true;
    this.firstGated = gated;
    this.firstGate = gate;
  }

  /**
   * Whether the front has a reason to wake for the replies since this was asked last: the first of them can leave. If it waits for
   * durability, so do all behind it, and the storage thread will wake the front.
   */
  takeDeliverable(durability: Durability, worker: number): boolean {
    const deliverable = this.anyReplies && (!this.firstGated || durability.reached(worker, this.firstGate));
    this.anyReplies = false;
    return deliverable;
  }

  /** Carries on where the progress of a dead thread ends. */
  resume(): void {
    for (const { ring, positionWord } of this.queues) ring.resumeAt(this.control[positionWord] as number);
    this.replies.resumeAt(this.control[this.replyWord] as number);
    this.stamps.forget();
  }
}
