import { ClientPush, PUSH } from '../../protocol/ops.ts';
import { Mode } from '../shard/records.ts';
import { type Caller, identify } from './caller.ts';
import type { Connection, Sink } from './connections.ts';
import type { Front } from './front.ts';
import { encode } from './message.ts';

/** A command that the server sends itself, for an HTTP request: takes a place among the connections until it is answered. */
export class Call implements Sink {
  private readonly front: Front;
  private readonly caller: Caller;
  private readonly traceparent: string;
  private connection: Connection | undefined;
  private answered: ((reply: unknown[]) => void) | undefined;

  /** @param traceparent of the request, whatever it says */
  constructor(front: Front, caller: Caller, traceparent = '') {
    this.front = front;
    this.caller = caller;
    this.traceparent = traceparent;
  }

  /** Sends one command; `then` gets its reply, later or at once. One at a time. */
  run(command: unknown[], then: (reply: unknown[]) => void): void {
    const { front, caller } = this;
    this.answered = then;
    this.connection = front.connections.add(this, caller.holderLo, caller.holderHi);
    identify(this.connection, caller);
    const { traceparent } = this;
    const push = traceparent === '' ? [] : [encode([PUSH, ClientPush.TRACE, traceparent])];
    front.onFrame(this.connection, Buffer.concat([...push, encode(command)]), Mode.INTERNAL);
  }

  sendDecoded(_mode: number, message: unknown[]): void {
    const { connection, answered } = this;
    if (connection === undefined || answered === undefined) return;
    this.connection = undefined;
    this.answered = undefined;
    this.front.connections.close(connection);
    answered(message);
  }

  /** Replies in this mode come decoded, and nothing closes a call. */
  send(): void {}

  close(): void {}
}
