import { ALL_OPS } from '../../protocol/ops.ts';

/** Where a connection's frames go: a socket, or a request of the server's own. Implemented by the socket server and by tests. */
export interface Sink {
  /** Sends one binary frame. The bytes are only valid during the call. */
  send(frame: Uint8Array): void;
  /** Takes a decoded reply or push for a connection that speaks text, or for a request of the server's own. */
  sendDecoded(mode: number, message: unknown[]): void;
  /** Closes with a code and reason of the WebSocket protocol. */
  close(code: number, reason: string): void;
}

/** Stands in for a socket that is not open yet, or is no more: what is sent to it is lost, as it would be on the wire. */
export const CLOSED_SINK: Sink = {
  send() {},
  sendDecoded() {},
  close() {},
};

/** Writes down commands and their answers. */
export interface Audit {
  /** A command was passed on. `target`: the hold's id, the SKU, or the segment's number. */
  begun(op: number, requestId: Uint8Array, target: number | string): void;
  /** A reply is sent, decoded. */
  answered(reply: readonly unknown[]): void;
  /** The connection is gone. */
  close(): void;
}

/** A client as the front sees it. The rings name it by its index. */
export class Connection {
  readonly index: number;
  private readonly front: number;
  private readonly number: number;
  sink: Sink;
  /** Whom its holds belong to, by name and as the segments know it. */
  holder = 'anonymous';
  holderLo = 0;
  holderHi = 0;
  /** Bits by op number of the commands that it may send; the others are answered UNAUTHENTICATED for `authReason`, or FORBIDDEN when that is 0. */
  mayOps = ALL_OPS;
  authReason = 0;
  /** Whether it may touch the holds of others. */
  admin = false;
  /** Bits by op number of what is written down, and where. */
  auditOps = 0;
  audit: Audit | undefined;
  /** Whether its commands on SKUs go before those of others. */
  vip = false;
  /** Nobody knows who it is: limits go by its address. */
  anonymous = false;
  /** A hash of the client's address. */
  addressLo = 0;
  addressHi = 0;
  /** Commands in the rings that are not answered yet. */
  inFlight = 0;
  open = true;
  brokenFrames = 0;
  /** First and last reply of the pump's current pass, as places in its tables; -1 for none. */
  firstReply = -1;
  lastReply = -1;

  constructor(index: number, sink: Sink, front = 0, number = 0) {
    this.index = index;
    this.sink = sink;
    this.front = front;
    this.number = number;
  }

  /** What logs and traces call it, unlike the index never used again: its front, and the how-manieth there it is. */
  get name(): string {
    return `${this.front}-${this.number}`;
  }
}

/**
 * Connections by index. An index is used again only when its connection is closed and every command it sent is
 * answered, so that no reply reaches a stranger.
 */
export class Connections {
  private readonly slots: (Connection | undefined)[] = [];
  private readonly free: number[] = [];
  /** Open ones. */
  count = 0;
  private readonly front: number;
  private made = 0;

  constructor(front = 0) {
    this.front = front;
  }

  add(sink: Sink, holderLo: number, holderHi: number): Connection {
    const index = this.free.pop() ?? this.slots.length;
    const connection = new Connection(index, sink, this.front, ++this.made);
    connection.holderLo = holderLo;
    connection.holderHi = holderHi;
    this.slots[index] = connection;
    this.count++;
    return connection;
  }

  at(index: number): Connection {
    const connection = this.slots[index];
    if (connection === undefined) throw new Error(`a reply names connection ${index}, which does not exist`);
    return connection;
  }

  /** The socket is gone. Its index is given back now or, with commands under way, by the last reply. */
  close(connection: Connection): void {
    if (!connection.open) return;
    connection.open = false;
    connection.audit?.close();
    this.count--;
    if (connection.inFlight === 0) this.recycle(connection);
  }

  /** Notes that `count` commands were answered. */
  answered(connection: Connection, count: number): void {
    connection.inFlight -= count;
    if (connection.inFlight === 0 && !connection.open) this.recycle(connection);
  }

  *[Symbol.iterator](): Iterator<Connection> {
    for (const connection of this.slots) {
      if (connection?.open) yield connection;
    }
  }

  private recycle(connection: Connection): void {
    this.slots[connection.index] = undefined;
    this.free.push(connection.index);
  }
}
