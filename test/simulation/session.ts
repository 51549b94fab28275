import type { Connection, Sink } from '../../src/front/connections.ts';
import { decodeAll } from '../../src/front/message.ts';
import { Mode } from '../../src/shard/records.ts';
import type { Command } from './commands.ts';

/** A command on its way, as its client remembers it. */
export interface Sent {
  readonly session: Session;
  readonly command: Command;
  /** Counts all that clients send and receive, so that before and after can be told. */
  readonly order: number;
  readonly sentAt: number;
  /** The reply as it left the segment; undefined before, and when the front answered itself. */
  applied?: readonly unknown[];
  /** LSN of its segment when it left. */
  lsn?: number;
}

/** What a session tells of itself. */
export interface SessionEvents {
  /** A message arrived. */
  delivered(session: Session, message: unknown[]): void;
  /** The connection is gone, from whichever side. */
  closed(session: Session, why: string): void;
}

/** One connection of a client, from its opening to its end: the client's and the socket's part of it. */
export class Session implements Sink {
  readonly holder: string;
  readonly mode: number;
  /** Which of the fronts has it. */
  readonly front: number;
  /** The front's side of it; set when it is open. */
  connection!: Connection;
  open = true;
  /** Whether the client reads what arrives; if not, it waits in the socket. */
  reading = true;
  readonly outstanding = new Map<number, Sent>();
  /** Error pushes that are still to come. */
  pushesDue = 0;
  private request: number;
  private backlog = 0;
  private readonly backlogBytes: number;
  private readonly events: SessionEvents;

  /** @param firstRequest far enough from any other session's that a stray reply is recognized */
  constructor(
    holder: string,
    mode: number,
    front: number,
    firstRequest: number,
    backlogBytes: number,
    events: SessionEvents,
  ) {
    this.holder = holder;
    this.mode = mode;
    this.front = front;
    this.request = firstRequest;
    this.backlogBytes = backlogBytes;
    this.events = events;
  }

  nextRequest(): number {
    return this.request++;
  }

  send(frame: Uint8Array): void {
    if (this.mode !== Mode.BINARY) throw new Error('a binary frame for a connection that speaks text');
    if (!this.accepts(frame.length)) return;
    for (const message of decodeAll(frame)) this.events.delivered(this, message as unknown[]);
    // Whoever keeps the frame instead of a copy will see this.
    frame.fill(0xc1);
  }

  sendDecoded(mode: number, message: unknown[]): void {
    if (mode !== this.mode) throw new Error(`a reply in mode ${mode} for a connection of mode ${this.mode}`);
    if (!this.accepts(message.length * 8)) return;
    this.events.delivered(this, message);
    // A request of the server's own leaves as soon as it has its answer.
    if (mode === Mode.INTERNAL) this.end('answered');
  }

  close(code: number): void {
    this.end(`code ${code}`);
  }

  /** Ends the connection, as its socket's close does: at once, also in the middle of a send. */
  end(why: string): void {
    if (!this.open) return;
    this.open = false;
    this.connection.sink = GONE;
    this.events.closed(this, why);
  }

  /** The client reads on. */
  read(): void {
    this.reading = true;
    this.backlog = 0;
  }

  private accepts(bytes: number): boolean {
    if (this.reading) return true;
    this.backlog += bytes;
    if (this.backlog <= this.backlogBytes) return true;
    this.end('slow');
    return false;
  }
}

/** What stands in for a socket that is gone. */
const GONE: Sink = { send() {}, sendDecoded() {}, close() {} };
