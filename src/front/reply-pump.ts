import { MAX_FRAME_BYTES } from '../../protocol/limits.ts';
import type { RingConsumer } from '../ring/consumer.ts';
import { infoMode, Mode, REPLY_HEAD_BYTES } from '../shard/records.ts';
import type { Connection, Connections } from './connections.ts';
import { decodeAll } from './message.ts';

/** Replies in one pass; those of one connection leave in one frame. */
const PASS = 4096;
/** Frames up to this length are sent through views made beforehand, so that a short reply allocates nothing. */
const READY_VIEWS = 1024;

/**
 * Takes replies out of the workers' rings and sends them, all that are ready for a connection in one frame. A pass
 * first links the replies of each connection where they lie, then copies each connection's into a frame (the socket layer
 * must not see shared memory), then gives the ring's room back.
 */
export class ReplyPump {
  /** Replies taken so far. */
  replies = 0;
  private readonly rings: readonly RingConsumer[];
  private readonly connections: Connections;
  private readonly starts = new Int32Array(PASS);
  private readonly lengths = new Int32Array(PASS);
  private readonly nexts = new Int32Array(PASS);
  private readonly touched: Connection[] = [];
  private readonly frame = new Uint8Array(MAX_FRAME_BYTES);
  private readonly views: Uint8Array[];

  constructor(rings: readonly RingConsumer[], connections: Connections) {
    this.rings = rings;
    this.connections = connections;
    this.views = Array.from({ length: READY_VIEWS + 1 }, (_, length) => this.frame.subarray(0, length));
  }

  /** Sends what is ready. Returns how many replies that were, at most a pass from each ring. */
  pump(): number {
    let taken = 0;
    for (let i = 0; i < this.rings.length; i++) taken += this.pumpRing(this.rings[i] as RingConsumer);
    this.replies += taken;
    return taken;
  }

  /** Whether a ring has replies waiting. */
  waiting(): boolean {
    for (let i = 0; i < this.rings.length; i++) {
      if ((this.rings[i] as RingConsumer).fill() > 0) return true;
    }
    return false;
  }

  private pumpRing(ring: RingConsumer): number {
    const { starts, lengths, nexts, touched, connections } = this;
    const { i32 } = ring;
    let taken = 0;
    let dirty = 0;
    let last: Connection | undefined;
    while (taken < PASS) {
      const at = ring.next();
      if (at < 0) break;
      const connection: Connection =
        last !== undefined && last.index === ring.tag ? last : connections.at(ring.tag);
      last = connection;
      const mode = infoMode(i32[at >> 2] as number);
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
    for (let i = 0; i < dirty; i++) this.send(ring.u8, touched[i] as Connection);
    if (taken > 0) ring.release();
    return taken;
  }

  private send(u8: Uint8Array, connection: Connection): void {
    const { starts, lengths, nexts, frame } = this;
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
      for (let i = 0; i < length; i++) frame[to + i] = u8[from + i] as number;
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
