import { Packr, Unpackr } from 'msgpackr';
import { Op } from '../../protocol/ops.ts';
import { monotonicMs, ServerClock } from '../../src/client/server-clock.ts';
import { upgradePath } from './pass.ts';

const OPEN_MS = 60_000;
/** The best of so many looks at the server's time counts: one may have waited for a core on either side. */
const TIME_SAMPLES = 8;

/** Commands that left in one frame and the replies that have come to them. */
interface Question {
  readonly firstId: number;
  readonly replies: number[][];
  left: number;
  readonly resolve: (replies: number[][]) => void;
}

/** A client for whoever wants to know the answers, one frame's commands at a time. Fast enough for some 100,000 commands/s. */
export class Asker {
  /** Server's time less this process's, in ms, when the connection was opened. */
  aheadMs = 0;
  /** Acknowledgement level, from the hello. */
  ack = '';
  private readonly socket: WebSocket;
  private readonly packr = new Packr({ useRecords: false });
  private readonly unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });
  private readonly open: Question[] = [];
  private readonly failure: Promise<never>;
  private nextId = 0x10000;
  private greeted: () => void = () => {};

  private constructor(port: number, holder: string, token: string | undefined) {
    // The built-in WebSocket sets no header of our own but this one.
    const protocols = token === undefined ? [] : ['holdfast.v1', `holdfast.token.${token}`];
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${upgradePath(holder, token)}`, protocols);
    this.socket.binaryType = 'arraybuffer';
    this.socket.addEventListener('message', ({ data }) => this.take(new Uint8Array(data as ArrayBuffer)));
    this.failure = new Promise((_, reject) => {
      this.socket.addEventListener('close', ({ code, reason }) =>
        reject(new Error(`the connection was closed with ${code} ${reason}`)),
      );
      this.socket.addEventListener('error', () => reject(new Error('the connection failed')));
    });
    this.failure.catch(() => {});
  }

  /** Resolves when the server has said hello. */
  static async connect(port: number, holder: string, token?: string): Promise<Asker> {
    const asker = new Asker(port, holder, token);
    const greeting = new Promise<void>((resolve) => {
      asker.greeted = resolve;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('the server did not say hello')), OPEN_MS);
    });
    await Promise.race([greeting, asker.failure, late]).finally(() => clearTimeout(timer));
    await asker.readTime();
    return asker;
  }

  /** Sends commands `[op, …args]` in one frame; resolves to their `[status, …results]` in the same order. */
  ask(commands: readonly (readonly unknown[])[]): Promise<number[][]> {
    const firstId = this.nextId;
    this.nextId += commands.length;
    const parts = commands.map(([op, ...args], i) =>
      Uint8Array.from(this.packr.pack([op, firstId + i, ...args])),
    );
    const answer = new Promise<number[][]>((resolve) => {
      this.open.push({ firstId, replies: new Array(commands.length), left: commands.length, resolve });
    });
    this.socket.send(Buffer.concat(parts));
    return Promise.race([answer, this.failure]);
  }

  close(): void {
    this.socket.close();
  }

  private async readTime(): Promise<void> {
    const clock = new ServerClock();
    for (let sample = 0; sample < TIME_SAMPLES; sample++) {
      const sentAt = monotonicMs();
      const [[, serverMs]] = (await this.ask([[Op.TIME]])) as [[number, number]];
      clock.sample(serverMs, sentAt, monotonicMs());
    }
    this.aheadMs = clock.now() - Date.now();
  }

  private take(frame: Uint8Array): void {
    for (const [id, ...rest] of this.unpackr.unpackMultiple(frame) as number[][]) {
      if (id === 0) {
        this.ack = String(rest[3]);
        this.greeted();
        continue;
      }
      const at = this.open.findIndex(
        ({ firstId, replies }) => id >= firstId && id < firstId + replies.length,
      );
      const question = this.open[at];
      if (question === undefined) throw new Error(`a reply to ${id}, which was not asked, came`);
      question.replies[id - question.firstId] = rest;
      if (--question.left > 0) continue;
      this.open.splice(at, 1);
      question.resolve(question.replies);
    }
  }
}
