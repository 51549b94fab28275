import { describe, expect, it } from 'vitest';
import { MAX_BROKEN_FRAMES, MAX_FRAME_BYTES, MAX_IN_FLIGHT, RETRY_LATER_MS } from '../../protocol/limits.ts';
import { Op, opByName, PUSH, Push } from '../../protocol/ops.ts';
import { Layer, Reason, Status } from '../../protocol/status.ts';
import { BUSY_RETRY_MS } from '../../src/admission/gate.ts';
import { SkuHash } from '../../src/base/hash.ts';
import { Connections } from '../../src/front/connections.ts';
import { Router } from '../../src/front/router.ts';
import { StageSampler } from '../../src/front/stage-sampler.ts';
import type { RingConsumer } from '../../src/ring/consumer.ts';
import { frontCounters, replyCell } from '../../src/shard/counters.ts';
import { HotSkus } from '../../src/shard/hot-skus.ts';
import { Lane, laneOf } from '../../src/shard/lanes.ts';
import { commandConsumer, commandProducers } from '../../src/shard/link-rings.ts';
import {
  COMMAND_HEAD_BYTES,
  infoCount,
  infoMode,
  infoOp,
  infoRequestBytes,
  infoSegment,
  Mode,
  STAMP_BYTES,
} from '../../src/shard/records.ts';
import { makeGate } from '../fixtures/gate.ts';
import { type EngineFixture, frameOf, HOLDER, makeMemory, NOW, RecordingSink, skuIn } from './fixtures.ts';

const SEGMENTS = 4;
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const BROKEN = Uint8Array.of(0xc1);

/** A router with two workers by default; what it puts into their rings is read by hand. */
function setUp(fixture: EngineFixture = {}) {
  const memory = makeMemory({ workers: 2, segments: SEGMENTS, ...fixture });
  const owners = new Int32Array(memory.owners);
  const counters = frontCounters(memory.counters, 0);
  const router = new Router({
    commands: memory.workers.flatMap((own) => commandProducers(own, 0)),
    owners,
    clock: () => NOW,
    stages: new StageSampler(memory.stages, 0),
    counters,
    hot: new HotSkus(memory.counters.hotSkus, 0),
    gate: makeGate({ workers: memory.workers.length, segments: SEGMENTS }),
  });
  const byLane = [Lane.SETTLE, Lane.VIP, Lane.NORMAL].map((lane) =>
    memory.workers.map((own) => commandConsumer(own, 0, lane)),
  );
  const ringsOf = (lane: number) => byLane[lane];
  const rings = ringsOf(Lane.NORMAL);
  const connections = new Connections();
  const client = () => {
    const sink = new RecordingSink();
    const connection = connections.add(sink, HOLDER.lo, HOLDER.hi);
    const send = (frame: Uint8Array, mode: number = Mode.BINARY) => router.onFrame(connection, frame, mode);
    return { sink, connection, send };
  };
  return { router, counters, owners, rings, ringsOf, connections, client, ...client() };
}

/** What a record in a command ring says. */
function readRecord(ring: RingConsumer) {
  const start = ring.next();
  if (start < 0) return undefined;
  const stamped = ring.tag < 0;
  const at = start + (stamped ? STAMP_BYTES : 0);
  const [info, holderLo, holderHi, lo, hi] = ring.i32.slice(at >> 2, (at >> 2) + 5);
  return {
    tag: stamped ? ~ring.tag : ring.tag,
    ...(stamped && { stamp: ring.i32[start >> 2] }),
    op: infoOp(info),
    count: infoCount(info),
    mode: infoMode(info),
    requestBytes: infoRequestBytes(info),
    segment: infoSegment(info),
    holderLo,
    holderHi,
    lo,
    hi,
    bytes: ring.u8.slice(at + COMMAND_HEAD_BYTES, at + ring.length),
  };
}

function hashOf(sku: string): SkuHash {
  const hash = new SkuHash();
  const name = Buffer.from(sku);
  hash.run(name, 0, name.length);
  return hash;
}

const holdId = (segment: number, slot = 5, generation = 9) =>
  BigInt(generation) * 2n ** 32n + BigInt(segment) * 2n ** 22n + BigInt(slot);

describe('a command that a worker has to answer', () => {
  it.each([0, 1, 2, 3])('goes to the ring of the worker that owns its SKU, segment %i', (segment) => {
    const { send, rings, router, connection, sink } = setUp();
    const sku = skuIn(segment, SEGMENTS);
    const { lo, hi } = hashOf(sku);
    send(frameOf([Op.HOLD, 300, sku, 2, 1000]));
    router.publish();
    expect(readRecord(rings[segment % 2])).toEqual({
      ...{ tag: connection.index, op: Op.HOLD, count: 5, mode: Mode.BINARY, requestBytes: 3, segment },
      ...{ holderLo: HOLDER.lo, holderHi: HOLDER.hi, lo, hi },
      // From the request id on, as it came.
      bytes: frameOf([Op.HOLD, 300, sku, 2, 1000]).slice(2),
    });
    expect(readRecord(rings[1 - (segment % 2)])).toBeUndefined();
    expect([connection.inFlight, router.inFlight, sink.frames]).toEqual([1, 1, []]);
  });

  it.each([0, 1, 2, 3])('goes by the segment in the id of its hold, segment %i', (segment) => {
    const { send, ringsOf, router } = setUp();
    send(frameOf([Op.CONFIRM, 7, holdId(segment)]));
    router.publish();
    expect(readRecord(ringsOf(Lane.SETTLE)[segment % 2])).toMatchObject({
      op: Op.CONFIRM,
      segment,
      hi: 9,
      lo: (segment << 22) | 5,
    });
  });

  it('goes to whoever owns its segment now', () => {
    const { send, rings, router, owners } = setUp();
    owners[2] = 1;
    send(frameOf([Op.INSPECT, 7, 2]));
    router.publish();
    expect(readRecord(rings[0])).toBeUndefined();
    expect(readRecord(rings[1])).toMatchObject({ op: Op.INSPECT, segment: 2 });
  });

  it('is seen by the worker when it is published, and not before', () => {
    const { send, rings, router } = setUp();
    send(frameOf([Op.INSPECT, 7, 0]));
    expect([router.unpublished, rings[0].fill()]).toEqual([1, 0]);
    router.publish();
    expect(router.unpublished).toBe(0);
    expect(rings[0].fill()).toBeGreaterThan(0);
  });

  it.each<[string, unknown[], number, number]>([
    ['HOLD', ['pen', 1, 1000], Lane.NORMAL, Lane.VIP],
    ['STOCK', ['pen', 1, 10], Lane.NORMAL, Lane.VIP],
    ['READ', ['pen'], Lane.NORMAL, Lane.VIP],
    ['INSPECT', [0], Lane.NORMAL, Lane.NORMAL],
    ['CONFIRM', [holdId(0)], Lane.SETTLE, Lane.SETTLE],
    ['RELEASE', [holdId(0)], Lane.SETTLE, Lane.SETTLE],
    ['EXTEND', [holdId(0), 1000], Lane.SETTLE, Lane.SETTLE],
    ['RETURN', [holdId(0)], Lane.SETTLE, Lane.SETTLE],
    ['READ_HOLD', [holdId(0)], Lane.SETTLE, Lane.SETTLE],
  ])('has the lane of its op, and of its connection: %s', (name, args, lane, laneOfVip) => {
    for (const [vip, wanted] of [
      [false, lane],
      [true, laneOfVip],
    ] as const) {
      const { send, ringsOf, router, connection } = setUp({ workers: 1 });
      connection.vip = vip;
      send(frameOf([opByName(name), 7, ...args]));
      router.publish();
      const ops = [Lane.SETTLE, Lane.VIP, Lane.NORMAL].map((at) => readRecord(ringsOf(at)[0])?.op);
      expect(ops).toEqual([0, 1, 2].map((at) => (at === wanted ? opByName(name) : undefined)));
    }
  });

  it('says how far the commands on holds of its worker had come, when they have gone on', () => {
    const { send, ringsOf, router, connection } = setUp();
    const confirm = (id: number, segment: number) => [Op.CONFIRM, id, holdId(segment)];
    // One of another worker does not matter.
    const read = (id: number) => [Op.READ, id, skuIn(0, SEGMENTS)];
    send(frameOf(read(1), confirm(2, 0), read(3), read(4), confirm(5, 0), confirm(6, 1)));
    send(frameOf(read(7)));
    send(frameOf(confirm(8, 1), read(9)));
    router.publish();
    const settle = ringsOf(Lane.SETTLE)[0];
    const ends = [1, 2].map(() => {
      readRecord(settle);
      return settle.position;
    });
    const normal = ringsOf(Lane.NORMAL)[0];
    const records = upTo(5).map(() => readRecord(normal));
    expect(records.map((record) => record?.stamp)).toEqual([
      undefined,
      ends[0],
      undefined,
      ends[1],
      undefined,
    ]);
    expect(records.map((record) => record?.bytes[0])).toEqual([1, 3, 4, 7, 9]);
    expect(new Set(records.map((record) => record?.tag))).toEqual(new Set([connection.index]));
  });

  it('stays in order with those before and behind it', () => {
    const { send, rings, router } = setUp({ workers: 1 });
    const ids = Array.from({ length: 50 }, (_, i) => i + 1);
    send(frameOf(...ids.slice(0, 30).map((id) => [Op.INSPECT, id, id % SEGMENTS])));
    send(frameOf(...ids.slice(30).map((id) => [Op.READ, id, 'sku'])));
    router.publish();
    expect(ids.map(() => readRecord(rings[0])?.bytes[0])).toEqual(ids);
  });
});

describe('who may touch the holds of others', () => {
  it('asks for a hold as nobody, and for all else as who it is', () => {
    const { connection, send, ringsOf, router } = setUp({ workers: 1 });
    connection.admin = true;
    const id = 2 ** 32;
    const onHold = [Op.CONFIRM, Op.RELEASE, Op.EXTEND, Op.RETURN, Op.READ_HOLD];
    const onSku = [Op.HOLD, Op.STOCK, Op.READ];
    const wordsOf = (op: number, ...args: unknown[]) => {
      send(frameOf([op, 1, ...args]));
      router.publish();
      return readRecord(ringsOf(laneOf(op, false))[0]);
    };
    for (const op of onHold) {
      const args = op === Op.EXTEND ? [1000] : [];
      expect(wordsOf(op, id, ...args)).toMatchObject({ op, holderLo: 0, holderHi: 0 });
    }
    for (const op of onSku) {
      const args = op === Op.READ ? [] : [1, 1000];
      expect(wordsOf(op, 'pen', ...args)).toMatchObject({
        op,
        holderLo: HOLDER.lo,
        holderHi: HOLDER.hi,
      });
    }
  });
});

describe('what the front answers by itself', () => {
  it.each<[string, unknown[], unknown[]]>([
    ['TIME', [Op.TIME, 1], [1, Status.OK, NOW]],
    ['a hold of a segment that is not there', [Op.CONFIRM, 2, holdId(SEGMENTS)], [2, Status.UNKNOWN_HOLD]],
    [
      'an INSPECT of such a segment',
      [Op.INSPECT, 3, SEGMENTS],
      [3, Status.MALFORMED, Reason.OUT_OF_BOUNDS, 2],
    ],
    ['an unknown op', [12, 4], [4, Status.MALFORMED, Reason.UNKNOWN_OP, 0]],
    ['too few arguments', [Op.HOLD, 5, 'pen'], [5, Status.MALFORMED, Reason.WRONG_COUNT, 0]],
    ['an empty SKU', [Op.READ, 6, ''], [6, Status.MALFORMED, Reason.OUT_OF_BOUNDS, 2]],
  ])('%s', (_name, command, reply) => {
    const { send, sink, connection, rings, router } = setUp();
    send(frameOf(command));
    router.publish();
    expect(sink.frames).toEqual([[reply]]);
    expect([connection.inFlight, rings[0].fill(), rings[1].fill()]).toEqual([0, 0, 0]);
  });

  it.each([
    ['ASCII', [0x70, 0x65, 0x6e], true],
    ['two bytes for a letter', [0xc3, 0xa9], true],
    ['half a letter', [0xc3], false],
    ['a byte that begins nothing', [0x70, 0xff], false],
  ])('is refused for its encoding, or not: %s', (_name, sku, fine) => {
    const { send, sink, connection } = setUp();
    send(Uint8Array.of(0x93, Op.READ, 9, 0xa0 | sku.length, ...sku));
    expect(connection.inFlight).toBe(fine ? 1 : 0);
    expect(sink.messages).toEqual(fine ? [] : [[9, Status.MALFORMED, Reason.NOT_UTF8, 2]]);
  });

  it('leaves in one frame, in order, with what a worker answers left out', () => {
    const { send, sink } = setUp();
    send(frameOf([Op.TIME, 1], [Op.READ, 2, 'pen'], [77, 3], [Op.TIME, 4]));
    expect(sink.frames).toEqual([
      [
        [1, Status.OK, NOW],
        [3, Status.MALFORMED, Reason.UNKNOWN_OP, 0],
        [4, Status.OK, NOW],
      ],
    ]);
  });

  it(`leaves in frames of at most ${MAX_FRAME_BYTES} bytes when it is more`, () => {
    const { send, sink } = setUp();
    const count = Math.floor(MAX_FRAME_BYTES / 5);
    send(frameOf(...Array.from({ length: count }, (_, i) => [Op.TIME, 10_000 + i])));
    expect(sink.bytes.length).toBeGreaterThan(2);
    expect(Math.max(...sink.bytes.map((bytes) => bytes.length))).toBeLessThanOrEqual(MAX_FRAME_BYTES);
    expect(sink.messages).toEqual(Array.from({ length: count }, (_, i) => [10_000 + i, Status.OK, NOW]));
  });

  it.each([Mode.JSON, Mode.JSON_NAMES, Mode.INTERNAL])(
    'goes out decoded to who asked so, mode %i',
    (mode) => {
      const { send, sink } = setUp();
      send(frameOf([Op.TIME, 1], [77, 2]), mode);
      expect(sink.frames).toEqual([]);
      expect(sink.decoded).toEqual([
        { mode, message: [1, Status.OK, NOW] },
        { mode, message: [2, Status.MALFORMED, Reason.UNKNOWN_OP, 0] },
      ]);
    },
  );

  it('ends with the connection when sending closes it, and so do the commands behind it', () => {
    const { send, sink, connection, connections, router } = setUp();
    sink.onSend = () => connections.close(connection);
    const times = Array.from({ length: 6000 }, (_, i) => [Op.TIME, i + 1]);
    send(frameOf(...times, [Op.READ, 9999, 'pen']));
    expect(sink.frames).toHaveLength(1);
    expect([connection.inFlight, router.inFlight, router.unpublished]).toEqual([0, 0, 0]);
  });
});

describe('a frame that cannot be read to its end', () => {
  it('has the commands before the break answered, and those behind it unread', () => {
    const { send, sink } = setUp();
    send(Uint8Array.from([...frameOf([Op.TIME, 1]), ...BROKEN, ...frameOf([Op.TIME, 2])]));
    expect(sink.messages).toEqual([
      [1, Status.OK, NOW],
      [PUSH, Push.ERROR, Status.MALFORMED, Reason.NOT_A_COMMAND, 3],
    ]);
  });

  it.each([
    ['a command without a request id', frameOf([Op.TIME, 'x']), Reason.BAD_REQUEST_ID],
    ['a command of nothing', frameOf([]), Reason.WRONG_COUNT],
  ])('is another matter than %s, behind which it goes on', (_name, bytes, reason) => {
    const { send, sink, connection } = setUp();
    send(Uint8Array.from([...bytes, ...frameOf([Op.TIME, 2])]));
    expect(sink.messages).toEqual([
      [PUSH, Push.ERROR, Status.MALFORMED, reason, bytes.length],
      [2, Status.OK, NOW],
    ]);
    expect(connection.brokenFrames).toBe(0);
  });

  it('has the command in which it breaks answered when its request id was read', () => {
    const { send, sink } = setUp();
    send(frameOf([Op.READ, 5, 'pencil']).slice(0, -2));
    expect(sink.messages).toEqual([
      [5, Status.MALFORMED, Reason.TRUNCATED, 2],
      [PUSH, Push.ERROR, Status.MALFORMED, Reason.TRUNCATED, expect.any(Number)],
    ]);
  });

  it(`closes the connection with 1008 at number ${MAX_BROKEN_FRAMES}, not before`, () => {
    const { send, sink, client } = setUp();
    const other = client();
    for (let i = 1; i < MAX_BROKEN_FRAMES; i++) send(BROKEN);
    other.send(BROKEN);
    expect(sink.closes).toEqual([]);
    // In a row: one that is whole lets all be forgotten.
    send(frameOf([Op.TIME, 1]));
    for (let i = 1; i < MAX_BROKEN_FRAMES; i++) send(BROKEN);
    expect(sink.closes).toEqual([]);
    send(BROKEN);
    expect(sink.closes).toEqual([{ code: 1008, reason: expect.stringContaining('NOT_A_COMMAND') }]);
    expect(other.sink.closes).toEqual([]);
  });
});

describe('a command for which there is no room', () => {
  it('is refused BUSY when the ring is full, while another worker takes its commands', () => {
    const { send, sink, router, counters, rings } = setUp();
    const long = 'x'.repeat(60);
    const [full, other] = [0, 1].map((segment) => skuIn(segment, SEGMENTS));
    let sent = 0;
    while (sink.frames.length === 0 && sent < 5000) {
      send(frameOf([Op.HOLD, ++sent, full, 1, 1000, long]));
    }
    expect([router.inFlight, counters[replyCell(0, Op.HOLD, Status.BUSY)]]).toEqual([sent - 1, 1]);
    expect(sink.messages).toEqual([[sent, Status.BUSY, BUSY_RETRY_MS, Layer.WORKER_QUEUE]]);
    send(frameOf([Op.READ, 9000, other]));
    expect(sink.frames).toHaveLength(1);
    router.publish();
    let records = 0;
    while (readRecord(rings[0]) !== undefined) records++;
    expect(records).toBe(sent - 1);
    rings[0].release();
    send(frameOf([Op.HOLD, 9001, full, 1, 1000, long]));
    expect(sink.frames).toHaveLength(1);
  });

  it(`is refused BUSY when its connection has ${MAX_IN_FLIGHT} under way, and that connection only`, () => {
    const { send, sink, client, connection, router } = setUp({ commandRingBytes: 2 ** 22 });
    const other = client();
    for (let sent = 0; sent < MAX_IN_FLIGHT; sent += 256) {
      send(frameOf(...Array.from({ length: 256 }, (_, i) => [Op.READ, sent + i + 1, 'pen'])));
    }
    expect([sink.frames, connection.inFlight]).toEqual([[], MAX_IN_FLIGHT]);
    send(frameOf([Op.READ, 99_999, 'pen'], [Op.TIME, 100_000]));
    other.send(frameOf([Op.READ, 1, 'pen']));
    expect(sink.messages).toEqual([
      [99_999, Status.BUSY, BUSY_RETRY_MS, Layer.CONNECTION],
      [100_000, Status.OK, NOW],
    ]);
    expect([other.sink.frames, other.connection.inFlight]).toEqual([[], 1]);
    expect(router.inFlight).toBe(MAX_IN_FLIGHT + 1);
  });
});

it('a router that drains refuses every command, with the time after which to come back', () => {
  const { send, sink, router, connection } = setUp();
  router.draining = true;
  send(frameOf([Op.HOLD, 1, 'pen', 1, 1000], [Op.CONFIRM, 2, holdId(1)], [Op.TIME, 3]));
  expect(sink.messages).toEqual([1, 2, 3].map((id) => [id, Status.UNAVAILABLE, RETRY_LATER_MS]));
  expect([connection.inFlight, router.unpublished]).toEqual([0, 0]);
});
