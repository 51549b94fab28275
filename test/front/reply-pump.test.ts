import { describe, expect, it } from 'vitest';
import { MAX_FRAME_BYTES } from '../../protocol/limits.ts';
import { type Connection, Connections } from '../../src/front/connections.ts';
import { encode } from '../../src/front/message.ts';
import { ReplyPump } from '../../src/front/reply-pump.ts';
import { StageSampler } from '../../src/front/stage-sampler.ts';
import { frontCounters } from '../../src/shard/counters.ts';
import { replyConsumer, replyProducer } from '../../src/shard/link-rings.ts';
import { Mode, REPLY_HEAD_BYTES, replyInfo } from '../../src/shard/records.ts';
import { makeGate } from '../fixtures/gate.ts';
import { makeMemory, RecordingSink } from './fixtures.ts';

const PASS = 4096;

/** A pump over the reply rings of some workers, into which the test writes as they would. */
function setUp(workers = 1) {
  const memory = makeMemory({ workers, segments: workers, replyRingBytes: 2 ** 20 });
  const connections = new Connections();
  const consumers = memory.workers.map((own) => replyConsumer(own, 0));
  const counters = frontCounters(memory.counters, 0);
  const stages = new StageSampler(memory.stages, 0);
  const pump = new ReplyPump(consumers, connections, stages, counters, makeGate({ workers }));
  const rings = memory.workers.map((own) => replyProducer(own, 0));
  const client = () => {
    const sink = new RecordingSink();
    return { sink, connection: connections.add(sink, 0, 0) };
  };
  /** Writes a reply and counts it as under way; visible once the ring is published. */
  const writeBytes = (to: Connection, bytes: Uint8Array, mode: number, worker: number) => {
    const ring = rings[worker];
    const at = ring.claim(REPLY_HEAD_BYTES + bytes.length, to.index);
    if (at < 0) throw new Error('the ring is full');
    ring.i32[at >> 2] = replyInfo(mode << 8, 0);
    ring.u8.set(bytes, at + REPLY_HEAD_BYTES);
    to.inFlight++;
  };
  const write = (to: Connection, reply: unknown[], mode: number = Mode.BINARY, worker = 0) =>
    writeBytes(to, encode(reply), mode, worker);
  const publish = () => {
    for (const ring of rings) ring.publish();
  };
  return { connections, pump, rings, client, write, writeBytes, publish };
}

describe('a pass of the pump', () => {
  it('sends each connection all its replies in one frame, in order, however they are mixed', () => {
    const { pump, client, write, publish } = setUp();
    const clients = Array.from({ length: 5 }, client);
    const expected: unknown[][] = clients.map(() => []);
    for (let i = 0; i < 200; i++) {
      const to = (i * 7 + (i >> 3)) % 5;
      write(clients[to].connection, [i + 1, 0, to]);
      expected[to].push([i + 1, 0, to]);
    }
    publish();
    expect(pump.waiting()).toBe(true);
    expect(pump.pump()).toBe(200);
    expect(clients.map(({ sink }) => sink.frames)).toEqual(expected.map((replies) => [replies]));
    expect(clients.map(({ connection }) => connection.inFlight)).toEqual([0, 0, 0, 0, 0]);
    expect([pump.waiting(), pump.pump(), pump.replies]).toEqual([false, 0, 200]);
  });

  it('keeps nothing from the pass before', () => {
    const { pump, client, write, publish } = setUp();
    const [a, b] = [client(), client()];
    for (const [id, to] of [a, b, a].entries()) {
      write(to.connection, [id + 1, 0]);
      publish();
      pump.pump();
    }
    expect(a.sink.frames).toEqual([[[1, 0]], [[3, 0]]]);
    expect(b.sink.frames).toEqual([[[2, 0]]]);
  });

  it('sends nothing that is not published', () => {
    const { pump, client, write, publish } = setUp();
    const { connection, sink } = client();
    write(connection, [1, 0]);
    expect([pump.waiting(), pump.pump(), sink.frames]).toEqual([false, 0, []]);
    publish();
    expect([pump.waiting(), pump.pump(), sink.frames]).toEqual([true, 1, [[[1, 0]]]]);
  });

  it('takes from every ring, one frame for each', () => {
    const { pump, client, write, publish } = setUp(2);
    const { connection, sink } = client();
    for (const [id, worker] of [0, 1, 0, 1].entries()) write(connection, [id + 1, 0], Mode.BINARY, worker);
    publish();
    expect(pump.pump()).toBe(4);
    expect(sink.frames).toEqual([
      [
        [1, 0],
        [3, 0],
      ],
      [
        [2, 0],
        [4, 0],
      ],
    ]);
  });

  it(`takes at most ${PASS} replies from a ring, and the next one goes on behind them`, () => {
    const { pump, client, write, publish } = setUp();
    const { connection, sink } = client();
    for (let i = 0; i < PASS + 100; i++) write(connection, [i + 1, 0]);
    publish();
    expect([pump.pump(), pump.waiting(), connection.inFlight]).toEqual([PASS, true, 100]);
    expect([pump.pump(), pump.waiting(), connection.inFlight]).toEqual([100, false, 0]);
    expect(sink.messages).toEqual(Array.from({ length: PASS + 100 }, (_, i) => [i + 1, 0]));
  });

  it('gives the room of the replies back', () => {
    const { pump, client, writeBytes, publish, rings } = setUp();
    const { connection } = client();
    for (let round = 0; round < 5; round++) {
      while (rings[0].hasRoom(REPLY_HEAD_BYTES + 180)) writeBytes(connection, new Uint8Array(180), 0, 0);
      expect(connection.inFlight).toBeGreaterThan(1000);
      publish();
      while (pump.pump() > 0);
      expect(connection.inFlight).toBe(0);
    }
  });

  it('throws when a reply names nobody', () => {
    const { pump, client, connections, write, publish } = setUp();
    const { connection } = client();
    write(connection, [1, 0]);
    publish();
    connection.inFlight = 0;
    connections.close(connection);
    expect(() => pump.pump()).toThrow(/names connection 0/);
  });
});

describe('a frame of replies', () => {
  // Up to 1,024 bytes a frame is a view made beforehand.
  it.each([1, 1023, 1024, 1025, MAX_FRAME_BYTES - 1, MAX_FRAME_BYTES])(
    'of %i bytes arrives as it was',
    (bytes) => {
      const { pump, client, writeBytes, publish } = setUp();
      const { connection, sink } = client();
      // Bytes below 0x80 are whole MessagePack values, so that cuts fall where the test wants them.
      const content = Uint8Array.from({ length: bytes }, (_, i) => (i * 31) & 0x7f);
      for (let at = 0; at < bytes; at += 128) writeBytes(connection, content.slice(at, at + 128), 0, 0);
      publish();
      pump.pump();
      expect(sink.bytes).toEqual([content]);
    },
  );

  it.each([
    ['one reply too long', 512, 128],
    ['several', 1500, 150],
  ])(`over ${MAX_FRAME_BYTES} bytes is split between replies: %s`, (_name, replies, bytes) => {
    const { pump, client, writeBytes, publish } = setUp();
    const { connection, sink } = client();
    const contents = Array.from({ length: replies + 1 }, (_, i) => new Uint8Array(bytes).fill(i & 0x7f));
    for (const content of contents) writeBytes(connection, content, 0, 0);
    publish();
    expect(pump.pump()).toBe(replies + 1);
    const perFrame = Math.floor(MAX_FRAME_BYTES / bytes);
    expect(sink.bytes.map((frame) => frame.length)).toEqual(lengths(replies + 1, perFrame, bytes));
    expect(Buffer.concat(sink.bytes).equals(Buffer.concat(contents))).toBe(true);
    expect(connection.inFlight).toBe(0);
  });

  function lengths(replies: number, perFrame: number, bytes: number): number[] {
    return Array.from(
      { length: Math.ceil(replies / perFrame) },
      (_, frame) => Math.min(perFrame, replies - frame * perFrame) * bytes,
    );
  }
});

describe('replies to somebody who is gone', () => {
  it('are dropped, and his index is free behind the last', () => {
    const { pump, client, connections, write, publish } = setUp();
    const [gone, here] = [client(), client()];
    for (const id of [1, 2]) {
      write(gone.connection, [id, 0]);
      write(here.connection, [id, 0]);
    }
    write(gone.connection, [3, 0], Mode.JSON);
    connections.close(gone.connection);
    expect(client().connection.index).toBe(2);
    publish();
    expect(pump.pump()).toBe(5);
    expect([gone.sink.frames, gone.sink.decoded]).toEqual([[], []]);
    expect(here.sink.frames).toEqual([
      [
        [1, 0],
        [2, 0],
      ],
    ]);
    expect(client().connection.index).toBe(gone.connection.index);
  });

  it('are dropped from the frame on over which he went', () => {
    const { pump, client, connections, writeBytes, publish } = setUp();
    const { connection, sink } = client();
    for (let i = 0; i < 1200; i++) writeBytes(connection, new Uint8Array(128), 0, 0);
    sink.onSend = () => connections.close(connection);
    publish();
    expect(pump.pump()).toBe(1200);
    expect(sink.bytes).toHaveLength(1);
    expect(client().connection.index).toBe(connection.index);
  });
});

describe('replies to somebody who speaks text', () => {
  it.each([Mode.JSON, Mode.JSON_NAMES, Mode.INTERNAL])('come decoded, one by one, mode %i', (mode) => {
    const { pump, client, write, publish } = setUp();
    const { connection, sink } = client();
    write(connection, [1, 0, 2 ** 40], mode);
    write(connection, [2, 5], mode);
    publish();
    expect(pump.pump()).toBe(2);
    expect(sink.decoded).toEqual([
      { mode, message: [1, 0, 2 ** 40] },
      { mode, message: [2, 5] },
    ]);
    expect([sink.frames, connection.inFlight]).toEqual([[], 0]);
  });

  it('may come between others of the same connection', () => {
    const { pump, client, write, publish } = setUp();
    const { connection, sink } = client();
    for (const [id, mode] of [Mode.BINARY, Mode.JSON, Mode.BINARY].entries())
      write(connection, [id + 1, 0], mode);
    publish();
    expect(pump.pump()).toBe(3);
    expect(sink.decoded).toEqual([{ mode: Mode.JSON, message: [2, 0] }]);
    expect(sink.messages).toEqual([
      [1, 0],
      [3, 0],
    ]);
    expect(connection.inFlight).toBe(0);
  });
});
