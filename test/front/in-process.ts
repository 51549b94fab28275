import { Op, StockMode } from '../../protocol/ops.ts';
import { STATUS_COUNT, Status } from '../../protocol/status.ts';
import { type Connection, Connections, type Sink } from '../../src/front/connections.ts';
import { ReplyPump } from '../../src/front/reply-pump.ts';
import { Router } from '../../src/front/router.ts';
import { StageSampler } from '../../src/front/stage-sampler.ts';
import { frontCounters } from '../../src/shard/counters.ts';
import { HotSkus } from '../../src/shard/hot-skus.ts';
import { commandProducers, replyConsumer } from '../../src/shard/link-rings.ts';
import { Lease } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { makeGate } from '../fixtures/gate.ts';
import { type EngineFixture, frameOf, HOLDER, makeMemory, NOW } from './fixtures.ts';

const EXPIRY_BUDGET = 4096;

/**
 * The way of a command from frame to reply frame on one thread, without sockets, and without any memory of its own for a
 * turn: what a turn allocates is the project's doing. Replies are counted by status and otherwise dropped.
 */
export class InProcess {
  /** Replies by status; only of those with a five-byte request id. */
  readonly byStatus = new Int32Array(STATUS_COUNT);
  /** The frame that was sent last. */
  readonly lastFrame = new Uint8Array(65_536);
  readonly router: Router;
  readonly connection: Connection;
  private readonly clock = new Float64Array([NOW]);
  private readonly shard: Shard;
  private readonly pump: ReplyPump;

  constructor(fixture: EngineFixture = {}) {
    const memory = makeMemory({ commandRingBytes: 2 ** 20, replyRingBytes: 2 ** 20, ...fixture });
    const [own] = memory.workers;
    const connections = new Connections();
    const gate = makeGate();
    const stages = new StageSampler(memory.stages, 0, gate);
    const counters = frontCounters(memory.counters, 0);
    this.router = new Router({
      commands: commandProducers(own, 0),
      owners: new Int32Array(memory.owners),
      clock: () => this.clock[0],
      stages,
      counters,
      hot: new HotSkus(memory.counters.hotSkus, 0),
      gate,
    });
    this.pump = new ReplyPump([replyConsumer(own, 0)], connections, stages, counters, gate);
    this.shard = new Shard(memory, 0);
    const sink: Sink = { send: (frame) => this.take(frame), sendDecoded() {}, close() {} };
    this.connection = connections.add(sink, HOLDER.lo, HOLDER.hi);
  }

  /** One frame from the client through router, worker and pump, and what is due expires. */
  turn(frame: Uint8Array): void {
    const { router, shard, pump, clock } = this;
    router.onFrame(this.connection, frame, Mode.BINARY);
    router.publish();
    shard.acquire(Lease.WORKER);
    shard.runCommands(clock[0], 100_000);
    shard.runExpiry(clock[0], EXPIRY_BUDGET);
    shard.release();
    router.inFlight -= pump.pump();
  }

  pass(ms: number): void {
    this.clock[0] += ms;
  }

  /** Stocks a SKU; `settings` are STOCK's arguments behind the amount. */
  stock(sku: string, units: number, ...settings: number[]): void {
    const before = this.byStatus[Status.OK];
    this.turn(frameOf([Op.STOCK, 0x10000, sku, StockMode.TOTAL, units, ...settings]));
    if (this.byStatus[Status.OK] !== before + 1) throw new Error(`${sku} was not stocked`);
  }

  private take(frame: Uint8Array): void {
    for (let i = 0; i < frame.length; i++) this.lastFrame[i] = frame[i];
    this.count(frame);
  }

  /** Counts the replies of a frame by their shapes: an array's header, a five-byte request id, a status, integers. */
  private count(frame: Uint8Array): void {
    let at = 0;
    while (at < frame.length) {
      let results = (frame[at] & 0x0f) - 2;
      this.byStatus[frame[at + 6]]++;
      at += 7;
      while (results-- > 0) at += valueBytes(frame, at);
    }
  }
}

function valueBytes(frame: Uint8Array, at: number): number {
  const head = frame[at];
  if (head < 0x80) return 1;
  if ((head & 0xe0) === 0xa0) return 1 + (head & 0x1f);
  if (head >= 0xcc && head <= 0xcf) return 1 + (1 << (head - 0xcc));
  throw new Error(`no value of a reply begins with ${head}`);
}
