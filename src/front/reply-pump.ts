import { MAX_FRAME_BYTES } from '../../protocol/limits.ts';
import { Status } from '../../protocol/status.ts';
import type { Gate } from '../admission/gate.ts';
import type { RingConsumer } from '../ring/consumer.ts';
import { add, replyCell } from '../shard/counters.ts';
import type { Durability } from '../shard/durability.ts';
import { GATED, infoMode, infoOp, infoSlot, infoStatus, Mode, REPLY_HEAD_BYTES } from '../shard/records.ts';
import type { Connection, Connections } from './connections.ts';
import { decodeAll } from './message.ts';
import { ParkedReplies } from './parked-replies.ts';
import type { StageSampler } from './stage-sampler.ts';

/** Replies in one pass; those of one connection leave in one frame. */
const PASS = 4096;
const WORD_BYTES = 4;
/** Frames up to this length are sent through views made beforehand, so that a short reply allocates nothing. */
const READY_VIEWS = 2048;

/**
 * Takes replies out of the workers' rings and sends them, all that are ready for a connection in one frame. A pass
 * first links the replies of each connection where they lie, then copies each connection's into a frame (the socket layer
 * must not see shared memory), then gives the ring's room back.
 *
 * A reply that tells of a change leaves when the change is durable. Rings are first in, first out, so a pass ends at the first reply
 * that has to wait, by one comparison. Only while the store stands still (`parking`) such replies are taken aside, so that those that
 * tell of no change can pass them.
 */
export class ReplyPump {
  /** Replies taken so far. */
  replies = 0;
  /** Set while the store stands still. */
  parking = false;
  private readonly rings: readonly RingConsumer[];
  private readonly connections: Connections;
  private readonly starts = new Int32Array(PASS);
  private readonly lengths = new Int32Array(PASS);
  private readonly nexts = new Int32Array(PASS);
  private readonly touched: Connection[] = [];
  private readonly frame = new Uint8Array(MAX_FRAME_BYTES + WORD_BYTES);
  private readonly words = new DataView(this.frame.buffer);
  private readonly views: Uint8Array[];
  private readonly durability: Durability | undefined;
  private readonly stages: StageSampler;
  private readonly counters: Float64Array;
  private readonly admission: Gate;
  private readonly parked: readonly ParkedReplies[];
  /** For each ring, whether its first reply waits, and for which position. */
  private readonly blocked: boolean[];
  private readonly gates: Int32Array;

  /** @param rings reply ring of each worker; @param counters see FrontCell; @param admission told what is answered; @param durability missing when nothing waits */
  constructor(
    rings: readonly RingConsumer[],
    connections: Connections,
    stages: StageSampler,
    counters: Float64Array,
    admission: Gate,
    durability?: Durability,
  ) {
    this.rings = rings;
    this.connections = connections;
    this.stages = stages;
    this.counters = counters;
    this.admission = admission;
    this.durability = durability;
    this.parked = rings.map(() => new ParkedReplies());
    this.blocked = rings.map(() => false);
    this.gates = new Int32Array(rings.length);
    this.views = Array.from({ length: READY_VIEWS + 1 }, (_, length) => this.frame.subarray(0, length));
  }

  /** Sends what is ready. Returns how many replies that were, at most a pass from each ring. */
  pump(): number {
    let taken = 0;
    for (let i = 0; i < this.rings.length; i++) {
      const durable = this.durability === undefined ? 0 : this.durability.position(i);
      if ((this.parked[i] as ParkedReplies).count > 0) taken += this.unpark(i, durable);
      taken += this.pumpRing(i, durable);
    }
    this.replies += taken;
    return taken;
  }

  /** Whether replies wait that can leave. */
  waiting(): boolean {
    for (let i = 0; i < this.rings.length; i++) {
      const durable = this.durability === undefined ? 0 : this.durability.position(i);
      if ((this.parked[i] as ParkedReplies).ready(durable)) return true;
      // What a blocked ring's first reply waits for may have come since, or may be passed by now.
      const blocked = this.blocked[i] && !this.parking && ((durable - (this.gates[i] as number)) | 0) < 0;
      if (!blocked && (this.rings[i] as RingConsumer).fill() > 0) return true;
    }
    return false;
  }

  private pumpRing(worker: number, durable: number): number {
    const { starts, lengths, nexts, touched, connections } = this;
    const ring = this.rings[worker] as RingConsumer;
    const { i32 } = ring;
    let taken = 0;
    let dirty = 0;
    let last: Connection | undefined;
    let aside = 0;
    this.blocked[worker] = false;
    while (taken < PASS) {
      const at = ring.next();
      if (at < 0) break;
      const info = i32[at >> 2] as number;
      const gated = (info & GATED) !== 0;
      if (gated && ((durable - (i32[(at >> 2) + 1] as number)) | 0) < 0) {
        if (!this.parking) {
          this.blocked[worker] = true;
          this.gates[worker] = i32[(at >> 2) + 1] as number;
          break;
        }
        this.park(worker, ring, at);
        aside++;
        continue;
      }
      const connection: Connection =
        last !== undefined && last.index === ring.tag ? last : connections.at(ring.tag);
      last = connection;
      const slot = infoSlot(info);
      if (slot !== 0) this.stages.leave(slot, infoStatus(info), gated, i32[(at >> 2) + 1] as number);
      const mode = infoMode(info);
      this.count(worker, info, mode);
      starts[taken] = at + REPLY_HEAD_BYTES;
      lengths[taken] = mode === Mode.BINARY ? ring.length - REPLY_HEAD_BYTES : 0;
      nexts[taken] = -1;
      if (mode !== Mode.BINARY) this.sendDecoded(ring, connection, mode, at);
      if (connection.lastReply < 0) {
        connection.firstReply = taken;
        touched[dirty++] = connection;
      } else {
        nexts[connection.lastReply] = taken;
      }
      connection.lastReply = taken;
      taken++;
    }
    for (let i = 0; i < dirty; i++) this.send(i32, touched[i] as Connection);
    if (taken > 0) {
      this.stages.sent();
      this.admission.answered(worker, taken);
    }
    if (this.blocked[worker]) ring.resumeAt(ring.peekPosition);
    else if (taken + aside > 0) ring.release();
    return taken;
  }

  private count(worker: number, info: number, mode: number): void {
    const status = infoStatus(info);
    add(this.counters, replyCell(mode === Mode.INTERNAL ? 1 : 0, infoOp(info), status), 1);
    if (status === Status.BUSY) this.admission.refusedByStore(worker);
  }

  private park(worker: number, ring: RingConsumer, at: number): void {
    const words = at >> 2;
    const bytes = ring.u8.slice(at + REPLY_HEAD_BYTES, at + ring.length);
    const connection = this.connections.at(ring.tag);
    const info = ring.i32[words] as number;
    (this.parked[worker] as ParkedReplies).add(connection, info, ring.i32[words + 1] as number, bytes);
  }

  /** Sends the parked replies of a worker whose changes are durable by now. */
  private unpark(worker: number, durable: number): number {
    const parked = this.parked[worker] as ParkedReplies;
    let sent = 0;
    while (parked.ready(durable)) {
      const { connection, info, gate, bytes } = parked.take();
      const mode = infoMode(info);
      const slot = infoSlot(info);
      this.count(worker, info, mode);
      if (slot !== 0) this.stages.leave(slot, infoStatus(info), true, gate);
      if (connection.open) {
        if (mode === Mode.BINARY) connection.sink.send(bytes);
        else for (const message of decodeAll(bytes)) connection.sink.sendDecoded(mode, message as unknown[]);
      }
      this.connections.answered(connection, 1);
      sent++;
    }
    if (sent > 0) {
      this.stages.sent();
      this.admission.answered(worker, sent);
    }
    return sent;
  }

  private send(i32: Int32Array, connection: Connection): void {
    const { starts, lengths, nexts, words } = this;
    let reply = connection.firstReply;
    connection.firstReply = -1;
    connection.lastReply = -1;
    let to = 0;
    let count = 0;
    while (reply >= 0) {
      const length = lengths[reply] as number;
      if (to + length > MAX_FRAME_BYTES) {
        this.sendFrame(connection, to);
        to = 0;
      }
      const from = starts[reply] as number;
      // By words, up to three bytes too many: the next reply, or nothing, is written over them.
      for (let i = 0; i < length; i += 4) words.setInt32(to + i, i32[(from + i) >> 2] as number, true);
      to += length;
      count++;
      reply = nexts[reply] as number;
    }
    if (to > 0) this.sendFrame(connection, to);
    this.connections.answered(connection, count);
  }

  private sendFrame(connection: Connection, length: number): void {
    if (!connection.open) return;
    connection.sink.send(
      length <= READY_VIEWS ? (this.views[length] as Uint8Array) : this.frame.subarray(0, length),
    );
  }

  /** A reply to somebody who speaks text, or to a request of the server's own. */
  private sendDecoded(ring: RingConsumer, connection: Connection, mode: number, at: number): void {
    if (!connection.open) return;
    const bytes = ring.u8.slice(at + REPLY_HEAD_BYTES, at + ring.length);
    for (const message of decodeAll(bytes)) connection.sink.sendDecoded(mode, message as unknown[]);
  }
}
