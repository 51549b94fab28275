import { Packr, Unpackr } from 'msgpackr';
import { Op, PUSH } from '../../protocol/ops.ts';
import type { Answer } from './hold-states.ts';

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });

const CONNECT_MS = 120_000;

/** Called once for each command: with its answer, or with null when the connection ended before there was one. */
export type OnAnswer = (answer: Answer | null) => void;

export interface Call {
  readonly op: number;
  readonly args: readonly unknown[];
  readonly onAnswer: OnAnswer;
}

/**
 * A client's connection that knows nothing but the protocol: msgpackr and the built-in WebSocket. Unlike the SDK it never sends
 * anything again by itself.
 */
export class Link {
  /** Resolves when the connection is gone, and every command was answered or given up. */
  readonly closed: Promise<void>;
  open = true;
  private readonly socket: WebSocket;
  private readonly waiting = new Map<number, OnAnswer>();
  private lastId = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.addEventListener('close', () => {
        this.open = false;
        for (const onAnswer of this.waiting.values()) onAnswer(null);
        this.waiting.clear();
        resolve();
      });
    });
    socket.addEventListener('message', ({ data }) => this.take(data as ArrayBuffer));
  }

  /** Rejects when there is nobody to connect to. */
  static async connect(url: string, holder: string): Promise<Link> {
    const socket = new WebSocket(`${url}?holder=${encodeURIComponent(holder)}`);
    socket.binaryType = 'arraybuffer';
    const link = new Link(socket);
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error(`cannot connect to ${url}`)));
      socket.addEventListener('close', () => reject(new Error(`${url} closed the connection`)));
      timer = setTimeout(() => reject(new Error(`${url} does not answer`)), CONNECT_MS);
    }).finally(() => clearTimeout(timer));
    return link;
  }

  /** Commands that wait for an answer. */
  get pending(): number {
    return this.waiting.size;
  }

  /** Sends commands in one frame, in this order. */
  send(calls: readonly Call[]): void {
    const parts = calls.map(({ op, args, onAnswer }) => {
      const id = ++this.lastId;
      this.waiting.set(id, onAnswer);
      let given = args.length;
      while (args[given - 1] === undefined && given > 0) given--;
      const values = args.slice(0, given).map((arg) => arg ?? null);
      return Uint8Array.from(packr.pack([op, id, ...values]));
    });
    // What is sent on a connection that is closing is never answered: the close event says so for all of it.
    if (this.open) this.socket.send(Buffer.concat(parts));
  }

  /** Asks for the server's time. Null when the connection ended. */
  async time(): Promise<number | null> {
    const answer = await this.call(Op.TIME);
    return answer === null ? null : (answer[1] as number);
  }

  call(op: number, ...args: readonly unknown[]): Promise<Answer | null> {
    return new Promise((resolve) => {
      if (this.open) this.send([{ op, args, onAnswer: resolve }]);
      else resolve(null);
    });
  }

  close(): Promise<void> {
    this.socket.close();
    return this.closed;
  }

  private take(data: ArrayBuffer): void {
    for (const [id, ...answer] of unpackr.unpackMultiple(new Uint8Array(data)) as unknown[][]) {
      if (id === PUSH) continue;
      const onAnswer = this.waiting.get(id as number);
      if (onAnswer === undefined) throw new Error(`a reply to request ${id}, which does not wait for one`);
      this.waiting.delete(id as number);
      onAnswer(answer);
    }
  }
}
