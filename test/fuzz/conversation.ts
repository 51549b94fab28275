import { Packr, Unpackr } from 'msgpackr';
import { MAX_FRAME_BYTES, MAX_QUANTITY, MAX_REPLY_BYTES } from '../../protocol/limits.ts';
import { ClientPush, OP_SHAPES, Op, PUSH, Push, Route, StockMode } from '../../protocol/ops.ts';
import { AuthReason, Reason, STATUS_COUNT, Status } from '../../protocol/status.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { Header } from '../../src/core/layout.ts';
import type { Connection, Sink } from '../../src/front/connections.ts';
import { Front } from '../../src/front/front.ts';
import { readText } from '../../src/front/text.ts';
import { Lease } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { makeMemory, NOW } from '../front/fixtures.ts';
import { arrayAt, NOT_WHOLE, valueEnd } from './reference.ts';

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });

/** Small enough for every table to be filled by an input of some hundred bytes, and forgetful enough for the time that one may take. */
const TABLES = {
  ...{ skus: 8, holds: 32, keys: 8, holders: 8 },
  ...{ maxHoldLifeMs: 600_000, keyRetentionMs: 20_000, endedRetentionMs: 10_000, soldRetentionMs: 60_000 },
};
/** Most time of an input: a wheel that stood still for longer is worked off a bucket at a time, which takes its time. */
const LONGEST_MS = 3_600_000;
const WORKERS = 2;
/** What there is from the beginning. */
const FIRST_SKU = 'sku-1';
const FIRST_UNITS = 10;
/** The least id of a hold. */
const FIRST_HOLD = 2 ** 32;
const PLENTY = 100_000;
/** Between two inputs. */
const APART_MS = 1000;

/** A client, the second of them one who may do everything, and what it is owed for the frames of its present connection. */
export class Client implements Sink {
  readonly holder: number;
  /** Gets the ids of holds that it places. */
  private readonly holds: number[];
  /** Set while it is connected. */
  connection: Connection | undefined;
  /** Messages for what it sent: exactly so many, or up to two more where a frame broke off. */
  owed = 0;
  brokenFrames = 0;
  got = 0;
  /** Whether the server has closed its connection. */
  closing = false;
  /** Whether it comes without a token that is needed. */
  unknown = false;
  /** Request ids that it sent. */
  readonly ids = new Set<number>();

  constructor(holder: number, holds: number[]) {
    this.holder = holder;
    this.holds = holds;
  }

  send(frame: Uint8Array): void {
    if (frame.length === 0 || frame.length > MAX_FRAME_BYTES)
      fail(`a frame of ${frame.length} bytes was sent`);
    const messages = unpackr.unpackMultiple(Buffer.from(frame)) as unknown[][];
    if (frame.length > messages.length * MAX_REPLY_BYTES) fail('a reply is longer than replies may be');
    for (const message of messages) this.take(message);
  }

  sendDecoded(_mode: number, message: unknown[]): void {
    this.take(message);
  }

  close(code: number, reason: string): void {
    // What RFC 6455 lets a server say: a code of its own list, and a reason that fits a control frame.
    if (code !== 1008 && code !== 1009) fail(`closed with ${code}`);
    if (Buffer.byteLength(reason) > 123) fail(`closed with a reason of ${reason.length} characters`);
    this.closing = true;
  }

  private take(message: unknown[]): void {
    this.got++;
    const [id, status, ...results] = message as number[];
    if (id === PUSH) {
      if (status !== Push.ERROR || results[0] !== Status.MALFORMED) fail(`an odd push: ${message}`);
      return;
    }
    if (!this.ids.has(id)) fail(`an answer to ${id}, which was never asked by this client`);
    if (!(status >= 0 && status < STATUS_COUNT)) fail(`status ${status}`);
    if (status === Status.OK && results.length === 2 && results[0] >= FIRST_HOLD) this.holds.push(results[0]);
  }
}

/**
 * Two clients, a front, workers and a clock, all on this thread. Used again for every input, since making it takes longer than most
 * inputs: begin() puts the segments back to how they were made, and only the clock and the rings' positions go on.
 */
export class Conversation {
  private now = NOW;
  private begunAt = NOW;
  private readonly front: Front;
  private readonly segments: readonly Int32Array[];
  private readonly stocked: readonly Int32Array[];
  /** Ids of holds that were placed. */
  private readonly holds: number[] = [];
  private clients = this.newClients();

  constructor() {
    const memory = makeMemory({ workers: WORKERS, segments: WORKERS, segment: TABLES });
    const raise = (error: unknown): never => {
      throw error;
    };
    this.front = new Front({ memory, front: 0, clock: () => this.now, borrow: false, onFault: raise });
    // There are no turns of an event loop here; turn() is one.
    Object.assign(this.front, { schedule() {}, sleep() {} });
    this.segments = memory.segments.map((sab) => new Int32Array(sab));
    this.binary(0, packr.pack([Op.STOCK, 1, FIRST_SKU, StockMode.TOTAL, FIRST_UNITS]));
    this.finish();
    this.stocked = this.segments.map((words) => words.slice());
  }

  /** Forgets what was said before. */
  begin(): void {
    for (const who of this.clients.keys()) this.hangUp(who);
    this.clients = this.newClients();
    this.holds.length = 0;
    for (const [segment, words] of this.segments.entries()) {
      if (this.isTouched(segment)) words.set(this.stocked[segment]);
    }
    this.now += APART_MS;
    this.begunAt = this.now;
  }

  binary(who: number, frame: Uint8Array): void {
    const client = this.clients[who];
    const connection = this.connect(client);
    this.owe(client, frame);
    this.front.onFrame(connection, frame, Mode.BINARY);
    if (client.closing) this.hangUp(who);
  }

  /** A command that is whole, as `bytes` have it: op, which hold or SKU, and an argument each. Returns how many were used. */
  command(who: number, bytes: Uint8Array): number {
    const [op = 0, pick = 0, ...values] = bytes;
    const { op: known, route, minElements, maxElements } = OP_SHAPES[(op & 15) % OP_SHAPES.length];
    const given = minElements + ((op >> 4) % (maxElements - minElements + 1));
    const first = { [Route.SKU]: FIRST_SKU, [Route.HOLD]: this.holds[pick % this.holds.length] ?? 1 }[route];
    const args = [first ?? pick & 1, ...values].slice(0, Math.max(0, given - 2));
    // Ends of bounds lie beyond what a byte says.
    const spread = args.map((value, i) => (i > 0 && value === 255 ? MAX_QUANTITY : value));
    this.binary(who, packr.pack([known, 1 + pick, ...spread]));
    return Math.min(bytes.length, 1 + args.length);
  }

  /** As the socket server takes a text frame. */
  text(who: number, text: string): void {
    const client = this.clients[who];
    const connection = this.connect(client);
    const { bytes, mode } = readText(text);
    if (bytes === undefined) {
      client.owed++;
      client.sendDecoded(mode, [PUSH, Push.ERROR, Status.MALFORMED, Reason.NOT_JSON, 0]);
      this.front.router.noteBroken(connection, Reason.NOT_JSON);
    } else {
      this.owe(client, bytes);
      this.front.onFrame(connection, bytes, mode);
    }
    if (client.closing) this.hangUp(who);
  }

  pass(ms: number): void {
    this.now = Math.min(this.now + ms, this.begunAt + LONGEST_MS);
  }

  /** The connection ends, from either side and with whatever is under way; the client comes again with its next frame. */
  hangUp(who: number, comesUnknown = false): void {
    const client = this.clients[who];
    client.unknown = comesUnknown;
    if (client.connection !== undefined) this.front.connections.close(client.connection);
    client.connection = undefined;
  }

  /** Everybody does what there is to do. */
  turn(): void {
    const { front } = this;
    front.endTurn();
    for (let worker = 0; worker < WORKERS; worker++) {
      const shard = front.shardOf(worker);
      if (!shard.acquire(Lease.WORKER)) fail('somebody else has the lease');
      while (shard.runCommands(this.now, PLENTY) > 0);
      shard.runExpiry(this.now, PLENTY);
      shard.release();
    }
    front.endTurn();
  }

  /** Throws unless all is answered and the books are right. */
  finish(): void {
    this.turn();
    const { front, clients } = this;
    if (front.router.inFlight !== 0) fail(`${front.router.inFlight} commands stay under way`);
    for (const client of clients) this.settle(client);
    for (let segment = 0; segment < WORKERS; segment++) {
      if (!this.isTouched(segment)) continue;
      const { violations } = inspectSegment(front.shardOf(segment).segmentAt(segment));
      if (violations.length > 0) fail(violations.join('\n'));
    }
  }

  /** Whether a segment has had anything to do since begin(): its header has the time of its last command, and of its expiry. */
  private isTouched(segment: number): boolean {
    const stocked = this.stocked?.[segment];
    for (let word = 0; word < Header.WORDS; word++) {
      if (stocked?.[word] !== this.segments[segment][word]) return true;
    }
    return false;
  }

  private newClients(): Client[] {
    return [new Client(1, this.holds), new Client(2, this.holds)];
  }

  private connect(client: Client): Connection {
    if (client.connection === undefined) {
      Object.assign(client, { owed: 0, brokenFrames: 0, got: 0, closing: false });
      client.ids.clear();
      client.connection = this.front.connections.add(client, client.holder, 0);
      Object.assign(client.connection, client.holder === 1 ? {} : { admin: true, vip: true });
      if (client.unknown) Object.assign(client.connection, { mayOps: 0, authReason: AuthReason.MISSING });
    }
    return client.connection;
  }

  /** Adds up what a frame is to be answered with: a message for each whole command, and one or two for where it breaks off. */
  private owe(client: Client, frame: Uint8Array): void {
    for (let at = 0; at < frame.length; ) {
      const array = arrayAt(frame, at);
      const end = array === undefined ? NOT_WHOLE : valueEnd(frame, at);
      const [op, id] = array !== undefined && array.count >= 2 ? this.beginningAt(frame, array.first) : [];
      if (id !== undefined) client.ids.add(id);
      // A traceparent is no command, and is not answered.
      if (end === NOT_WHOLE || op !== PUSH || id !== ClientPush.TRACE) client.owed++;
      if (end === NOT_WHOLE) {
        client.brokenFrames++;
        return;
      }
      at = end;
    }
  }

  /** An array's first two elements, op and request id, where they are numbers. */
  private beginningAt(frame: Uint8Array, first: number): [op?: number | undefined, id?: number | undefined] {
    const second = valueEnd(frame, first);
    if (second === NOT_WHOLE) return [];
    return [numberAt(frame, first), numberAt(frame, second)];
  }

  private settle({ connection, owed, got, brokenFrames }: Client): void {
    if (connection === undefined) return;
    if (connection.inFlight !== 0) fail(`${connection.inFlight} commands of a connection stay under way`);
    if (got < owed || got > owed + brokenFrames) {
      fail(`${got} messages for ${owed} commands, of which ${brokenFrames} broke off`);
    }
  }
}

function numberAt(frame: Uint8Array, at: number): number | undefined {
  const head = frame[at] as number;
  const end = valueEnd(frame, at);
  const isNumber = head <= 0x7f || (head >= 0xca && head <= 0xd3) || head >= 0xe0;
  return isNumber && end !== NOT_WHOLE
    ? (unpackr.unpack(Buffer.from(frame.subarray(at, end))) as number)
    : undefined;
}

function fail(what: string): never {
  throw new Error(what);
}
