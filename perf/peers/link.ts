import { connect, type Socket } from 'node:net';

/** What a link is to ask for: the same for every side. */
export interface LinkOptions {
  readonly port: number;
  /** Of PostgreSQL only. */
  readonly password?: string | undefined;
  /** Of PostgreSQL only: whether a commit is answered before it is on the disk. */
  readonly asynchronous?: boolean | undefined;
  /** SKUs to spread the holds over, from the SKU number `firstSku` on; 1 makes one hot SKU. */
  readonly skus: number;
  readonly firstSku: number;
  readonly ttlMs: number;
  readonly holdsPerRequest: number;
  readonly inFlight: number;
  /** Number of the link among those of its run: each begins with other SKUs, and has ids and a holder of its own. */
  readonly index: number;
  readonly links: number;
}

/** One client's way to a side. Answers come in the order of the requests. */
export interface Link {
  /** Holds so far. */
  readonly accepted: number;
  readonly refused: number;
  /** Requests that may be under way at any time. */
  readonly inFlight: number;
  /** Starts so many requests, which leave together. */
  send(requests: number): void;
  /** Called once for each read, with the number of requests that it answered. */
  onAnswered: (requests: number) => void;
  onFailure: (error: Error) => void;
  close(): void;
}

/** Ends the holds that are due, where a side does not do so by itself. */
export interface Sweeper {
  /** Resolves with the number of holds that it ended; as many as its limit means that more may be due. */
  sweep(): Promise<number>;
  readonly limit: number;
  onFailure: (error: Error) => void;
  close(): void;
}

/** The links of one run. */
export interface Links {
  readonly links: readonly Link[];
  readonly sweeper?: Sweeper;
}

/**
 * A TCP connection to the loopback address whose reads are handed on together with what was left over of the last. `take` returns how
 * many of the bytes it has used; it may throw.
 */
export class Wire {
  onFailure: (error: Error) => void = () => {};
  private readonly socket: Socket;
  private readonly take: (bytes: Buffer) => number;
  private rest: Buffer | undefined;
  private failed = false;

  constructor(port: number, take: (bytes: Buffer) => number) {
    this.take = take;
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.socket.on('data', (bytes) => this.onData(bytes));
    this.socket.on('error', (error) => this.fail(error));
    this.socket.on('close', () => this.fail(new Error('the connection was closed')));
  }

  /** Sends bytes that the caller leaves as they are. */
  write(bytes: Buffer | string): void {
    this.socket.write(bytes as string, 'latin1');
  }

  /** Ends the connection without telling onFailure. */
  close(): void {
    this.failed = true;
    this.socket.destroy();
  }

  private onData(bytes: Buffer): void {
    if (this.failed) return;
    const all = this.rest === undefined ? bytes : Buffer.concat([this.rest, bytes]);
    try {
      const used = this.take(all);
      this.rest = used < all.length ? all.subarray(used) : undefined;
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private fail(error: Error): void {
    if (this.failed) return;
    this.failed = true;
    this.socket.destroy();
    this.onFailure(error);
  }
}
