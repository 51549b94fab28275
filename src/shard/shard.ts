import { Cursor } from '../../protocol/cursor.ts';
import { OP_CHANGES, OP_SHAPES, Op, Route } from '../../protocol/ops.ts';
import { Layer, Status } from '../../protocol/status.ts';
import type { Writer } from '../../protocol/writer.ts';
import { MAX_COMMAND_EVENT_BYTES, MAX_EXPIRY_EVENT_BYTES } from '../core/events.ts';
import { CommandHead, executeCommand } from '../core/execute.ts';
import { copyImage } from '../core/image.ts';
import { Fence } from '../core/layout.ts';
import { GROUP, Prefetch } from '../core/prefetch.ts';
import { Segment } from '../core/segment.ts';
import { Doorbell } from '../ring/doorbell.ts';
import { RingProducer } from '../ring/producer.ts';
import type { CommandQueue } from './command-queue.ts';
import { Durability } from './durability.ts';
import { strike } from './faults.ts';
import { LANE_NAMES, LANES } from './lanes.ts';
import { Control, controlOf, type EngineMemory, Lease, StorageControl } from './memory.ts';
import {
  COMMAND_HEAD_BYTES,
  GATED,
  infoCount,
  infoOp,
  infoRequestBytes,
  infoSegment,
  infoSlot,
  REPLY_HEAD_BYTES,
  REPLY_RECORD_BYTES,
  replyInfo,
  STAMP_BYTES,
} from './records.ts';
import { ServiceOrder } from './service-order.ts';
import { ShardLink } from './shard-link.ts';

/** A worker whose events wait for a store that does not take them answers that a client had better wait this long. */
const FULL_RETRY_MS = 100;
const BY_HOLD = OP_SHAPES.map(({ route }) => route === Route.HOLD);

/**
 * One worker's segments and rings, and the work that is done on them: take commands, apply them, write replies, let
 * holds expire. Whoever holds the lease does it: the worker's own thread as a rule, the front when the worker sleeps and
 * little waits, since waking a thread costs more than a few commands. The lease is a word in shared memory; whoever takes it
 * reads the ring positions anew.
 *
 * Every front has rings of its own, one for the commands of each lane and one for replies. A group of commands is taken from one of them
 * at a time, first come first served; ServiceOrder says from which.
 *
 * For each command there is one reply, also when a thread dies over it: behind every command the positions of
 * both rings are written down in the control block, and a mark stands there while a segment is being changed.
 */
export class Shard {
  readonly worker: number;
  readonly control: Int32Array;
  /** One for each front. */
  readonly links: readonly ShardLink[];
  /** Undefined when nothing is stored. */
  private readonly events: RingProducer | undefined;
  private readonly storage: Doorbell | undefined;
  private readonly durability: Durability;
  private readonly gated: boolean;
  /** Whether the event ring has room for all that the group at hand can cause. */
  private roomForEvents = true;
  private readonly memory: EngineMemory;
  private readonly owners: Int32Array;
  private readonly segments: (Segment | undefined)[];
  private readonly head = new CommandHead();
  private readonly cursor = new Cursor();
  private readonly order: ServiceOrder;
  /** Holds that the last runExpiry() ended. */
  expired = 0;
  private nextToExpire = 0;
  /** Whether the group at hand ends with an INSPECT, which takes as long as thousands of other commands. */
  private inspected = false;
  /** The time of this turn. In an array of values of any kind a number stays boxed, so that no call has to box it anew. */
  private readonly time: unknown[] = [undefined];
  /** The commands gathered last: where they lie, and the ring's position behind each. */
  private readonly starts = new Int32Array(GROUP);
  private readonly ends = new Int32Array(GROUP);
  private readonly tags = new Int32Array(GROUP);
  private readonly positions = new Int32Array(GROUP);
  private readonly prefetch: Prefetch;

  constructor(memory: EngineMemory, worker: number) {
    const own = memory.workers[worker];
    if (own === undefined) throw new RangeError(`there is no worker ${worker}`);
    this.worker = worker;
    this.memory = memory;
    this.prefetch = new Prefetch(memory.segmentOptions);
    this.owners = new Int32Array(memory.owners);
    this.segments = new Array(memory.segments.length).fill(undefined);
    this.control = controlOf(own);
    this.links = own.links.map((_, front) => new ShardLink(memory, worker, front));
    this.order = new ServiceOrder(
      LANE_NAMES.map((_, lane) => this.links.map(({ queues }) => queues[lane] as CommandQueue)),
    );
    const { storage } = memory;
    this.gated = storage?.gated ?? false;
    this.durability = new Durability(memory);
    if (storage !== undefined) {
      this.events = new RingProducer(own.sab, own.events, own.eventRingBytes);
      this.storage = new Doorbell(storage.control, StorageControl.DOORBELL * 4);
    }
  }

  /** Takes the lease for a thread (a Lease value) if it is free. */
  acquire(as: number): boolean {
    if (Atomics.compareExchange(this.control, Control.LEASE, Lease.FREE, as) !== Lease.FREE) return false;
    const { links } = this;
    for (let front = 0; front < links.length; front++) (links[front] as ShardLink).refresh();
    this.events?.refresh();
    return true;
  }

  /** Publishes what was done and gives the lease back. */
  release(): void {
    this.publish();
    Atomics.store(this.control, Control.LEASE, Lease.FREE);
  }

  /**
   * Makes events visible to the storage thread and replies to the fronts, and gives the room of their commands back. Events go first, so
   * that whoever sees a reply can wait for what it tells.
   */
  publish(): void {
    const { events, links } = this;
    if (events?.unpublished) {
      events.publish();
      this.storage?.ring();
    }
    for (let front = 0; front < links.length; front++) (links[front] as ShardLink).publish();
  }

  /** Whether a front has a reason to wake for the replies since this was asked last, see ShardLink. */
  takeDeliverable(front: number): boolean {
    return (this.links[front] as ShardLink).takeDeliverable(this.durability, this.worker);
  }

  /** Whether commands wait and can be answered. For a shard that does not hold the lease: it reads the rings' positions anew. */
  waiting(): boolean {
    const { links } = this;
    for (let front = 0; front < links.length; front++) {
      if ((links[front] as ShardLink).waiting()) return true;
    }
    return false;
  }

  /**
   * Takes over from a thread that died with the lease. A command that it was in the middle of is answered UNKNOWN_OUTCOME, and
   * its segment fenced off, because its tables may be half changed. Returns that segment, or -1.
   */
  adopt(as: number): number {
    const control = this.control;
    Atomics.store(control, Control.LEASE, as);
    const mark = control[Control.MARK] as number;
    for (const link of this.links) link.resume();
    this.events?.resumeAt(control[Control.EVENT_POSITION] as number);
    this.storage?.ring();
    control[Control.MARK] = 0;
    if (mark === 0) return -1;
    const segment = Math.abs(mark) - 1;
    const fence = this.events === undefined ? Fence.FOR_GOOD : Fence.UNTIL_REBUILT;
    this.segmentAt(segment).fence(fence, control[Control.MARK_LSN] as number);
    if (mark > 0) this.refuseNext(this.queueAt(control[Control.MARK_QUEUE] as number));
    return segment;
  }

  /** Runs up to `most` commands at one time of the clock, in their order of service. Returns how many; a front whose replies have no room is passed by. */
  runCommands(nowMs: number, most: number): number {
    this.time[0] = nowMs;
    const { order, links } = this;
    let done = 0;
    while (done < most) {
      const queue = order.next();
      if (queue === undefined) break;
      const link = links[queue.front] as ShardLink;
      const gathered = this.gather(link, queue, Math.min(GROUP, most - done));
      for (let i = 0; i < gathered; i++) this.runCommand(link, queue, i);
      done += gathered;
      // Time has passed: the caller looks at the clock, and at what else is due.
      if (this.inspected) break;
    }
    return done;
  }

  /**
   * Takes up to `most` commands for which there is room to reply from a queue that is ready, and has the memory fetch what they will need.
   * Returns how many, at least 1.
   */
  private gather(link: ShardLink, queue: CommandQueue, most: number): number {
    const { starts, ends, positions, tags } = this;
    const { ring } = queue;
    const { i32 } = ring;
    // Each reply may need its longest record, and the last one padding besides. There is room for one.
    const room = link.replies.hasRoom((most + 1) * (REPLY_RECORD_BYTES + 8)) ? most : 1;
    let gathered = 0;
    let infos = 0;
    this.inspected = false;
    this.roomForEvents = this.events?.hasRoom(GROUP * MAX_COMMAND_EVENT_BYTES + queue.eventReserve) ?? true;
    while (gathered < room && !this.inspected) {
      let at = ring.next();
      if (at < 0) break;
      let { tag } = ring;
      ends[gathered] = at + ring.length;
      if (tag < 0) {
        if (queue.mustWait(at)) {
          ring.back();
          break;
        }
        tag = ~tag;
        at += STAMP_BYTES;
      }
      starts[gathered] = at;
      tags[gathered] = tag;
      positions[gathered] = ring.position;
      const words = at >> 2;
      const info = i32[words] as number;
      const op = infoOp(info);
      infos |= info;
      const segment = this.segmentAt(infoSegment(info));
      this.prefetch.add(gathered, segment, i32[words + 3] as number, BY_HOLD[op] as boolean);
      this.inspected = op === Op.INSPECT;
      gathered++;
    }
    this.prefetch.run(gathered);
    if (infoSlot(infos) !== 0) this.noteTaken(link, i32, gathered);
    return gathered;
  }

  /** Among the commands gathered some are timed. */
  private noteTaken(link: ShardLink, i32: Int32Array, gathered: number): void {
    for (let i = 0; i < gathered; i++) {
      const slot = infoSlot(i32[(this.starts[i] as number) >> 2] as number);
      if (slot !== 0) link.stamps.take(slot);
    }
  }

  private runCommand(link: ShardLink, queue: CommandQueue, i: number): void {
    const { control, cursor, head } = this;
    const { replies, writer } = link;
    const { i32, u8 } = queue.ring;
    const at = this.starts[i] as number;
    const words = at >> 2;
    const info = i32[words] as number;
    const number = infoSegment(info);
    head.op = infoOp(info);
    head.count = infoCount(info);
    head.holderLo = i32[words + 1] as number;
    head.holderHi = i32[words + 2] as number;
    head.lo = i32[words + 3] as number;
    head.hi = i32[words + 4] as number;
    head.requestStart = at + COMMAND_HEAD_BYTES;
    head.requestBytes = infoRequestBytes(info);
    cursor.reset(u8, head.requestStart + head.requestBytes, this.ends[i] as number);
    const reply = replies.claim(REPLY_RECORD_BYTES, this.tags[i] as number);
    writer.pos = reply + REPLY_HEAD_BYTES;
    // Plain stores: a thread that dies is dead before another looks, and the kernel orders that.
    control[Control.HEARTBEAT] = ((control[Control.HEARTBEAT] as number) + 1) | 0;
    const segment = this.segmentAt(number);
    control[Control.MARK_LSN] = segment.lsnLow;
    control[Control.MARK_QUEUE] = queue.number;
    control[Control.MARK] = number + 1;
    strike(control, number);
    const changes = OP_CHANGES[head.op] as boolean;
    let gated = this.gated && changes;
    let status: number;
    if (changes && !this.roomForEvents) {
      status = this.refuseBusy(writer);
      gated = false;
    } else {
      status = executeCommand(segment, head, cursor, writer, this.time[0] as number);
    }
    const gate = this.events === undefined ? 0 : this.events.position;
    replies.i32[reply >> 2] = replyInfo(info, status) | (gated ? GATED : 0);
    replies.i32[(reply >> 2) + 1] = gate;
    replies.trim(writer.pos - reply);
    link.noteReply(gated, gate);
    this.noteProgress(link, queue, this.positions[i] as number);
  }

  /** The store does not keep up: nothing may change that it could not be told of. */
  private refuseBusy(writer: Writer): number {
    const { cursor, head } = this;
    writer.array(4);
    writer.copy(cursor.u8, head.requestStart, head.requestBytes);
    writer.int32(Status.BUSY);
    writer.int32(FULL_RETRY_MS);
    writer.int32(Layer.STORE);
    return Status.BUSY;
  }

  /**
   * Copies the segment that a snapshot is asked of, if one is and it is this worker's. For whoever holds the lease, between commands.
   */
  copyAsked(): void {
    const { control, memory } = this;
    const number = Atomics.load(control, Control.COPY) - 1;
    if (number < 0 || memory.storage === undefined || this.events === undefined) return;
    const segment = this.segmentAt(number);
    control[Control.COPY_WORDS] = segment.fenced
      ? 0
      : copyImage(segment, new Int32Array(memory.storage.copy));
    control[Control.COPY_POSITION] = this.events.position;
    Atomics.store(control, Control.COPY, 0);
  }

  /**
   * Ends up to `budget` holds that are due, over all segments, each time beginning with another one. Returns how much was
   * done, of which `expired` are holds and the others keys and far deadlines; less than the budget means that nothing is left.
   */
  runExpiry(nowMs: number, budget: number): number {
    this.time[0] = nowMs;
    this.expired = 0;
    const { control, owners, events } = this;
    // Holds that cannot be reported as ended stay: what they end with would not be known after a start.
    if (events !== undefined && !events.hasRoom(budget * MAX_EXPIRY_EVENT_BYTES)) return 0;
    const count = owners.length;
    let done = 0;
    for (let i = 0; i < count && done < budget; i++) {
      const number = this.nextToExpire;
      this.nextToExpire = number + 1 < count ? number + 1 : 0;
      if (owners[number] !== this.worker) continue;
      const segment = this.segmentAt(number);
      if (segment.fenced) continue;
      // Each may take long after a pause, and the worker is not stalled.
      control[Control.HEARTBEAT] = ((control[Control.HEARTBEAT] as number) + 1) | 0;
      control[Control.MARK_LSN] = segment.lsnLow;
      control[Control.MARK] = -(number + 1);
      const open = segment.openHolds;
      done += segment.advance(this.time[0] as number, budget - done);
      this.expired += open - segment.openHolds;
      if (events !== undefined) control[Control.EVENT_POSITION] = events.position;
      control[Control.MARK] = 0;
    }
    return done;
  }

  /** Whether any hold is open, so that time matters. */
  anyOpen(): boolean {
    for (let number = 0; number < this.owners.length; number++) {
      if (this.owners[number] === this.worker && this.segmentAt(number).openHolds > 0) return true;
    }
    return false;
  }

  /** Answers UNKNOWN_OUTCOME to the command in front, which a dead thread was in the middle of. */
  private refuseNext(queue: CommandQueue): void {
    const link = this.links[queue.front] as ShardLink;
    const { replies, writer } = link;
    const { ring } = queue;
    let at = ring.next();
    if (at < 0) return;
    const { tag } = ring;
    if (tag < 0) at += STAMP_BYTES;
    const info = ring.i32[at >> 2] as number;
    const reply = replies.claim(REPLY_RECORD_BYTES, tag < 0 ? ~tag : tag);
    writer.pos = reply + REPLY_HEAD_BYTES;
    writer.array(2);
    writer.copy(ring.u8, at + COMMAND_HEAD_BYTES, infoRequestBytes(info));
    writer.int32(Status.UNKNOWN_OUTCOME);
    replies.i32[reply >> 2] = replyInfo(info, Status.UNKNOWN_OUTCOME);
    replies.i32[(reply >> 2) + 1] = 0;
    replies.trim(writer.pos - reply);
    this.noteProgress(link, queue, ring.position);
  }

  segmentAt(number: number): Segment {
    return this.segments[number] ?? this.openSegment(number);
  }

  /** The queue with a number. */
  private queueAt(number: number): CommandQueue {
    const link = this.links[Math.floor(number / LANES)] as ShardLink;
    return link.queues[number % LANES] as CommandQueue;
  }

  /** Writes down that the commands up to a position of a queue's ring are answered. */
  private noteProgress(link: ShardLink, queue: CommandQueue, taken: number): void {
    const { control, events } = this;
    const replied = link.replies.position;
    const reported = events === undefined ? 0 : events.position;
    // A thread is terminated only at a call or at the end of a loop's turn, so these stores happen together.
    control[link.replyWord] = replied;
    control[queue.positionWord] = taken;
    control[Control.EVENT_POSITION] = reported;
    control[Control.MARK] = 0;
  }

  private openSegment(number: number): Segment {
    const sab = this.memory.segments[number];
    if (sab === undefined) throw new RangeError(`there is no segment ${number}`);
    const segment = new Segment(number, this.memory.segmentOptions, sab, this.events);
    this.segments[number] = segment;
    return segment;
  }
}
