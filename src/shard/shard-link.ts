import { Writer } from '../../protocol/writer.ts';
import type { RingConsumer } from '../ring/consumer.ts';
import type { RingProducer } from '../ring/producer.ts';
import type { Durability } from './durability.ts';
import { commandConsumer, replyProducer } from './link-rings.ts';
import { Control, controlOf, type EngineMemory } from './memory.ts';
import { REPLY_RECORD_BYTES } from './records.ts';
import { StageStamps } from './stage-stamps.ts';

/** A worker's end of the two rings that it shares with one front: commands come out of one, replies go into the other. */
export class ShardLink {
  readonly front: number;
  readonly commands: RingConsumer;
  readonly replies: RingProducer;
  /** Writes into the reply ring. */
  readonly writer: Writer;
  readonly stamps: StageStamps;
  /** Words of the control block for the positions behind the last command that was answered whole. */
  readonly commandWord: number;
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
    this.commands = commandConsumer(own, front);
    this.replies = replyProducer(own, front);
    this.stamps = new StageStamps(memory.stages, front);
    this.writer = new Writer(this.replies.u8);
    this.control = controlOf(own);
    this.commandWord = Control.POSITIONS + 2 * front;
    this.replyWord = this.commandWord + 1;
  }

  /** Takes the rings' positions from shared memory, for a thread that begins to work on them. */
  refresh(): void {
    this.commands.refresh();
    this.replies.refresh();
  }

  /** Whether commands wait and can be answered. For who does not hold the lease: reads the positions anew. */
  waiting(): boolean {
    this.commands.refresh();
    if (this.commands.fill() === 0) return false;
    this.replies.refresh();
    return this.replies.hasRoom(REPLY_RECORD_BYTES);
  }

  /** Makes replies visible to the front, and gives the room of their commands back. */
  publish(): void {
    this.stamps.publish();
    this.replies.publish();
    this.commands.release();
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
    this.commands.resumeAt(this.control[this.commandWord] as number);
    this.replies.resumeAt(this.control[this.replyWord] as number);
    this.stamps.forget();
  }
}
