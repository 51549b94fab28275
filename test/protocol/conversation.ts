import { DEFAULT_SEGMENT_OPTIONS } from '../../src/core/layout.ts';
import type { Connection } from '../../src/front/connections.ts';
import { Front } from '../../src/front/front.ts';
import { readText, writeText } from '../../src/front/text.ts';
import { allocateEngine, Lease } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { concat } from './fixtures.ts';

/** A server's front and worker on this thread, without sockets, for one client; time goes by when it is told to. */
export class Conversation {
  nowMs: number;
  private readonly front: Front;
  private readonly connection: Connection;
  private sent: Uint8Array[] = [];
  private said: string[] = [];

  constructor(nowMs: number, segments: number) {
    this.nowMs = nowMs;
    const segment = { ...DEFAULT_SEGMENT_OPTIONS, skus: 16, holds: 64, keys: 16, holders: 16 };
    const rings = { commandRingBytes: 65_536, replyRingBytes: 65_536 };
    this.front = new Front({
      memory: allocateEngine({ fronts: 1, workers: 1, segments, segment, ...rings }),
      front: 0,
      clock: () => this.nowMs,
      borrow: false,
      onFault: (error) => {
        throw error;
      },
    });
    const sink = {
      send: (frame: Uint8Array) => this.sent.push(Uint8Array.from(frame)),
      sendDecoded: (mode: number, message: unknown[]) => this.said.push(writeText(mode, message)),
      close: (code: number, reason: string) => {
        throw new Error(`closed with ${code}: ${reason}`);
      },
    };
    this.connection = this.front.connections.add(sink, 17, 4);
  }

  /** All that comes back for a binary frame, put together. */
  binary(frame: Uint8Array): Uint8Array {
    this.run(frame, Mode.BINARY);
    const answer = concat(...this.sent);
    this.sent = [];
    return answer;
  }

  /** What comes back for a text frame with a command. */
  text(frame: string): string[] {
    const { bytes, mode } = readText(frame);
    if (bytes === undefined) throw new Error(`no JSON array: ${frame}`);
    this.run(bytes, mode);
    const answer = this.said;
    this.said = [];
    return answer;
  }

  /** Lets time pass, and holds expire. */
  wait(ms: number): void {
    this.nowMs += ms;
    this.work();
  }

  private run(frame: Uint8Array, mode: number): void {
    this.front.router.onFrame(this.connection, frame, mode);
    this.front.router.publish();
    this.work();
    this.front.pump.pump();
  }

  private work(): void {
    const shard = this.front.shardOf(0);
    if (!shard.acquire(Lease.WORKER)) throw new Error('the shard is taken');
    shard.runCommands(this.nowMs, 1000);
    shard.runExpiry(this.nowMs, 1000);
    shard.release();
  }
}
