import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_FRAME_BYTES, MAX_IN_FLIGHT } from '../../protocol/limits.ts';
import { Op, PUSH, Push, StockMode } from '../../protocol/ops.ts';
import { Layer, Reason, Status } from '../../protocol/status.ts';
import { BUSY_RETRY_MS } from '../../src/admission/gate.ts';
import { type AdmissionRules, defaultRules } from '../../src/admission/rules.ts';
import { Front } from '../../src/front/front.ts';
import { replyCell } from '../../src/shard/counters.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { frameOf, HOLDER, makeMemory, NOW, RecordingSink, skuIn, work } from './fixtures.ts';

const SEGMENTS = 4;
const PER_WORKER = 8;
const KEY = Buffer.alloc(16, 7);
const BUSY = [Status.BUSY, BUSY_RETRY_MS, Layer.WORKER_QUEUE];

/** A front whose workers are full for everybody unless told otherwise: those with the claim vip have a quarter more, and took it. */
function setUp({ full = true, workers = 2, rules = {} as Partial<AdmissionRules> } = {}) {
  const memory = makeMemory({ workers, segments: SEGMENTS });
  const depth = { perConnection: MAX_IN_FLIGHT, perWorker: PER_WORKER };
  const front = new Front({
    ...{ memory, front: 0, clock: () => NOW, borrow: false, onFault: () => {} },
    rules: { ...defaultRules(false), depth, ...rules },
  });
  const client = (vip = false) => {
    const sink = new RecordingSink();
    const connection = front.connections.add(sink, HOLDER.lo, HOLDER.hi);
    connection.vip = vip;
    const send = (frame: Uint8Array, mode: number = Mode.BINARY) => front.onFrame(connection, frame, mode);
    return { sink, connection, send };
  };
  if (full) {
    const filler = client(true);
    for (let worker = 0; worker < workers; worker++) {
      for (let i = 0; i < 2 * PER_WORKER; i++)
        filler.send(frameOf([Op.READ, 1 + i, skuIn(worker, SEGMENTS)]));
    }
  }
  return { front, memory, client, ...client() };
}

const hold = (id: number, ...more: unknown[]) => [Op.HOLD, id, 'pen', 1, 1000, ...more];

describe('while every worker is full', () => {
  it.each<[string, unknown[]]>([
    ['a small id', hold(1)],
    ['ids of two, three and five bytes', hold(200)],
    ['of three', hold(3000)],
    ['of five', hold(70_000)],
    ['the largest number of 32 bits', hold(2 ** 32 - 1)],
    ['of nine, which is read in full', hold(2 ** 32)],
    ['a long name', [Op.HOLD, 5, 'x'.repeat(64), 300, 70_000]],
    ['a key in binary', hold(70_000, KEY)],
    ['a key in text', hold(70_000, 'key')],
    ['a long key in text', hold(70_000, 'k'.repeat(64))],
    ['no key', hold(70_000, null)],
  ])('a HOLD is refused BUSY, whatever its form: %s', (_, command) => {
    const { send, sink, front, connection } = setUp();
    send(frameOf(command, command));
    const answer = [command[1], ...BUSY];
    expect(sink.frames).toEqual([[answer, answer]]);
    expect([connection.inFlight, front.gate.refused[Layer.WORKER_QUEUE]]).toEqual([0, 2 + 2 * 6]);
    expect(front.counters[replyCell(0, Op.HOLD, Status.BUSY)]).toBe(2);
  });

  it('what is something else is answered as ever, between HOLDs too', () => {
    const { send, sink, front } = setUp();
    const confirm = [Op.CONFIRM, 4, 2 ** 32];
    send(frameOf(hold(1), [Op.TIME, 2], hold(3), confirm, [77, 5], [Op.READ, 6, 'pen'], hold(7)));
    expect(sink.messages).toEqual([
      [1, ...BUSY],
      [2, Status.OK, NOW],
      [3, ...BUSY],
      [5, Status.MALFORMED, Reason.UNKNOWN_OP, 0],
      [6, ...BUSY],
      [7, ...BUSY],
    ]);
    // The CONFIRM went its way.
    expect(front.router.unpublished).toBe(2 * 10 + 1);
  });

  it('answers are the same as for whoever is read in full, whatever is sent', () => {
    const { client } = setUp();
    const id = fc.oneof(fc.nat(300), fc.nat(70_000), fc.nat({ max: 2 ** 32 + 9 }));
    const name = fc.oneof(fc.constantFrom('', 'pen'), fc.string({ maxLength: 70 }));
    const number = fc.oneof(fc.nat(300), fc.nat(100_000), fc.constantFrom<unknown>(-1, 1.5, 'one', null));
    const key = fc.oneof(fc.uint8Array({ maxLength: 70 }), fc.string({ maxLength: 70 }), fc.constant(null));
    const command = fc.oneof(
      fc.tuple(fc.constant(Op.HOLD), id, name, number, number),
      fc.tuple(fc.constant(Op.HOLD), id, name, number, number, key),
      fc.tuple(fc.constantFrom(Op.READ, Op.TIME, Op.STOCK), id, name),
    );
    const change = fc.record({ at: fc.nat(2000), byte: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 12 }),
        fc.array(change, { maxLength: 3 }),
        fc.nat(40),
        (commands, changes, cut) => {
          const whole = frameOf(...commands);
          for (const { at, byte } of changes) if (at < whole.length) whole[at] = byte;
          const frame = whole.subarray(
            0,
            cut < 20 ? whole.length - Math.min(cut, whole.length) : whole.length,
          );
          const [unread, read] = [client(), client(true)];
          unread.send(frame);
          read.send(frame);
          expect(encoded(unread.sink)).toEqual(encoded(read.sink));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['zero', [0]],
    ['zero in two bytes', [0xcc, 0]],
    ['zero in three', [0xcd, 0, 0]],
    ['zero in five', [0xce, 0, 0, 0, 0]],
  ])('a request id stays none: %s', (_, id) => {
    const { send, sink } = setUp();
    send(Uint8Array.from([0x95, Op.HOLD, ...id, 0xa1, 0x78, 1, 1]));
    expect(sink.messages).toEqual([
      [PUSH, Push.ERROR, Status.MALFORMED, Reason.BAD_REQUEST_ID, expect.any(Number)],
    ]);
  });

  it.each([
    ['empty', ''],
    ['too long', 'x'.repeat(65)],
  ])('a name that is %s stays a mistake', (_, name) => {
    const { send, sink } = setUp();
    send(frameOf([Op.HOLD, 1, name, 1, 1000]));
    expect(sink.messages).toEqual([[1, Status.MALFORMED, Reason.OUT_OF_BOUNDS, 2]]);
  });

  it('answers leave in frames of the protocol’s size, all of them', () => {
    const { send, sink } = setUp();
    // Whose answers are longer than they are.
    const times = Array.from({ length: 4500 }, (_, i) => [Op.TIME, 300 + i]);
    const holds = Array.from({ length: 3000 }, (_, i) => hold(5000 + i));
    send(frameOf(...times, ...holds));
    expect(sink.messages).toEqual([
      ...times.map(([, id]) => [id, Status.OK, NOW]),
      ...holds.map(([, id]) => [id, ...BUSY]),
    ]);
    expect(Math.max(...sink.bytes.map(({ length }) => length))).toBeLessThanOrEqual(MAX_FRAME_BYTES);
  });

  it.each([Mode.JSON, Mode.JSON_NAMES])('who speaks text is answered in it, mode %i', (mode) => {
    const { send, sink } = setUp();
    send(frameOf(hold(1)), mode);
    expect(sink.decoded).toEqual([{ mode, message: [1, ...BUSY] }]);
  });

  it('who may not hold, or is one too many, is told so first', () => {
    const { send, sink, front, connection } = setUp();
    connection.mayOps = 1 << Op.READ;
    send(frameOf(hold(1)));
    connection.mayOps = -1;
    connection.inFlight = MAX_IN_FLIGHT;
    send(frameOf(hold(2)));
    connection.inFlight = 0;
    front.router.draining = true;
    send(frameOf(hold(3)));
    expect(sink.messages.map((message) => (message as number[]).slice(0, 2))).toEqual([
      [1, Status.FORBIDDEN],
      [2, Status.BUSY],
      [3, Status.UNAVAILABLE],
    ]);
    expect((sink.messages[1] as number[])[3]).toBe(Layer.CONNECTION);
  });
});

it('with room at one worker, HOLDs find it', () => {
  const { send, sink, client, connection } = setUp({ full: false });
  const filler = client();
  for (let i = 0; i < PER_WORKER; i++) filler.send(frameOf([Op.READ, 1 + i, skuIn(0, SEGMENTS)]));
  send(frameOf([Op.HOLD, 1, skuIn(0, SEGMENTS), 1, 1000], [Op.HOLD, 2, skuIn(1, SEGMENTS), 1, 1000]));
  expect([sink.messages, connection.inFlight]).toEqual([[[1, ...BUSY]], 1]);
});

it('in a turn of very many refusals, what was admitted is answered, and others are let in', () => {
  const { front, memory, send, sink } = setUp({ full: false, workers: 1 });
  const shard = new Shard(memory, 0);
  send(frameOf([Op.STOCK, 1, 'pen', StockMode.TOTAL, 1000]));
  front.endTurn();
  work(shard);
  front.endTurn();
  sink.frames.length = 0;
  let asked = 0;
  const crowd = () => send(frameOf(...Array.from({ length: 1000 }, () => hold(++asked))));
  crowd();
  // As the worker does beside a front that has much to read.
  front.router.publish();
  work(shard);
  for (let i = 0; i < 9; i++) crowd();
  const accepted = (sink.messages as number[][]).filter(([, status]) => status === Status.OK);
  expect(accepted.map(([id]) => id)).toEqual(Array.from({ length: PER_WORKER }, (_, i) => 1 + i));
  expect([sink.messages.length, front.gate.underWay[0]]).toEqual([asked - PER_WORKER, PER_WORKER]);
});

/** What was sent, as text; a name that is no UTF-8 is only found by who reads names. */
function encoded({ messages }: RecordingSink): string[] {
  return (messages as unknown[][]).map((message) =>
    message[1] === Status.MALFORMED && message[2] === Reason.NOT_UTF8
      ? JSON.stringify([message[0], ...BUSY])
      : JSON.stringify(message),
  );
}
