import type { Connection } from './connections.ts';

interface Parked {
  readonly connection: Connection;
  /** Of the reply's record. */
  readonly info: number;
  /** Position in the worker's event ring that must be durable. */
  readonly gate: number;
  readonly bytes: Uint8Array;
}

/**
 * Replies of one worker that wait for a store that has stopped answering, taken aside so that those behind them, which tell of
 * nothing that is not durable, can leave. There are never more than the event ring had room for: while the store stands still,
 * commands that change state are refused.
 */
export class ParkedReplies {
  private readonly parked: Parked[] = [];
  private first = 0;

  get count(): number {
    return this.parked.length - this.first;
  }

  add(connection: Connection, info: number, gate: number, bytes: Uint8Array): void {
    this.parked.push({ connection, info, gate, bytes });
  }

  /** Whether the first of them waits for no more than `durable`. */
  ready(durable: number): boolean {
    const next = this.parked[this.first];
    return next !== undefined && ((durable - next.gate) | 0) >= 0;
  }

  /** The first, which is ready() then. */
  take(): Parked {
    const next = this.parked[this.first] as Parked;
    this.first++;
    if (this.first === this.parked.length) {
      this.parked.length = 0;
      this.first = 0;
    }
    return next;
  }
}
