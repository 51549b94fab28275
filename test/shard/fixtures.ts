import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Connections } from '../../src/front/connections.ts';
import { decodeAll } from '../../src/front/message.ts';
import { Router } from '../../src/front/router.ts';
import { StageSampler } from '../../src/front/stage-sampler.ts';
import type { RingConsumer } from '../../src/ring/consumer.ts';
import { frontCounters } from '../../src/shard/counters.ts';
import { HotSkus } from '../../src/shard/hot-skus.ts';
import { commandProducers, replyConsumer } from '../../src/shard/link-rings.ts';
import { type EngineMemory, Lease } from '../../src/shard/memory.ts';
import { infoMode, infoOp, infoStatus, Mode, REPLY_HEAD_BYTES } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { makeGate } from '../fixtures/gate.ts';
import {
  type EngineFixture,
  frameOf,
  HOLDER,
  makeMemory,
  NOW,
  RecordingSink,
  skuIn,
  work,
} from '../front/fixtures.ts';

export const SEGMENTS = 4;
export const sku = (segment: number) => skuIn(segment, SEGMENTS);

export interface ReplyRecord {
  readonly tag: number;
  readonly op: number;
  readonly mode: number;
  readonly status: number;
  readonly reply: unknown[];
}

/** An engine with one worker, which is played by Shard objects, between the fronts' routers and the test, which reads the replies. */
export class Rig {
  readonly memory: EngineMemory;
  readonly shard: Shard;
  private readonly fronts: readonly { router: Router; replies: RingConsumer }[];
  private readonly connections = new Connections();
  private readonly sink = new RecordingSink();

  constructor(fixture: EngineFixture = {}) {
    this.memory = makeMemory({ segments: SEGMENTS, ...fixture });
    const [own] = this.memory.workers;
    this.fronts = this.memory.fronts.map((_, front) => ({
      router: new Router({
        commands: this.memory.workers.flatMap((worker) => commandProducers(worker, front)),
        owners: new Int32Array(this.memory.owners),
        clock: () => NOW,
        stages: new StageSampler(this.memory.stages, front),
        counters: frontCounters(this.memory.counters, front),
        hot: new HotSkus(this.memory.counters.hotSkus, front),
        gate: makeGate(),
      }),
      replies: replyConsumer(own, front),
    }));
    this.shard = new Shard(this.memory, 0);
    // So that a tag of zero is not taken for a right one.
    for (let i = 0; i < 5; i++) this.connections.add(this.sink, 0, 0);
  }

  /** Another thread's view of the worker. */
  anotherShard(): Shard {
    return new Shard(this.memory, 0);
  }

  /** Puts commands into a front's rings, from a connection of their own. Returns its index, which is their tag. */
  send(commands: unknown[][], mode: number = Mode.BINARY, front = 0, vip = false): number {
    const { router } = this.fronts[front];
    const connection = this.connections.add(this.sink, HOLDER.lo, HOLDER.hi);
    connection.vip = vip;
    router.onFrame(connection, frameOf(...commands), mode);
    if (this.sink.frames.length > 0)
      throw new Error(`the router answered ${JSON.stringify(this.sink.messages)}`);
    router.publish();
    return connection.index;
  }

  /** All replies to a front that are published, their room given back. */
  take(front = 0): ReplyRecord[] {
    const { replies } = this.fronts[front];
    const taken: ReplyRecord[] = [];
    for (let at = replies.next(); at >= 0; at = replies.next()) {
      const info = replies.i32[at >> 2];
      const bytes = replies.u8.slice(at + REPLY_HEAD_BYTES, at + replies.length);
      const [reply] = decodeAll(bytes) as unknown[][];
      taken.push({
        tag: replies.tag,
        op: infoOp(info),
        mode: infoMode(info),
        status: infoStatus(info),
        reply,
      });
    }
    replies.release();
    return taken;
  }

  /** Runs commands to their end. Returns the replies in the commands' order, without their request ids. */
  call(commands: unknown[][], nowMs = NOW): unknown[][] {
    this.send(commands.map(([op, ...args], i) => [op, i + 1, ...args]));
    work(this.shard, nowMs);
    // Those on holds are answered before the others.
    const replies = this.take().map(({ reply }) => reply as [number, ...unknown[]]);
    return replies.sort(([one], [other]) => one - other).map(([, ...answer]) => answer);
  }

  /** Stocks one SKU in every segment. */
  stockAll(units = 1_000_000): void {
    const commands = Array.from({ length: SEGMENTS }, (_, i) => [Op.STOCK, sku(i), StockMode.TOTAL, units]);
    for (const [status] of this.call(commands)) {
      if (status !== Status.OK) throw new Error(`STOCK was refused with ${status}`);
    }
  }
}

/** Takes the lease as a worker's thread, which the test expects to be free. */
export function lease(shard: Shard): Shard {
  if (!shard.acquire(Lease.WORKER)) throw new Error('somebody else has the lease');
  return shard;
}
