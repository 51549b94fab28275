import { isUtf8 } from 'node:buffer';
import { CommandPeek, TRACE } from '../../protocol/command.ts';
import { Cursor } from '../../protocol/cursor.ts';
import {
  MAX_BROKEN_FRAMES,
  MAX_FRAME_BYTES,
  MAX_REPLY_BYTES,
  RETRY_LATER_MS,
  SLOT_BITS,
} from '../../protocol/limits.ts';
import { OP_CHANGES, OP_SCOPES, OP_SHAPES, Op, PUSH, Push, Route } from '../../protocol/ops.ts';
import { layerStatus, Reason, reasonName, Status } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';
import type { Gate } from '../admission/gate.ts';
import type { Clock } from '../base/clock.ts';
import { SkuHash, segmentOfHash } from '../base/hash.ts';
import type { RingProducer } from '../ring/producer.ts';
import { add, FrontCell, replyCell } from '../shard/counters.ts';
import type { HotSkus } from '../shard/hot-skus.ts';
import { LANES, Lane, laneOf } from '../shard/lanes.ts';
import { COMMAND_HEAD_BYTES, commandInfo, Mode, STAMP_BYTES } from '../shard/records.ts';
import type { Connection } from './connections.ts';
import { decodeAll } from './message.ts';
import type { StageSampler } from './stage-sampler.ts';
import { UnreadRefusals } from './unread-refusals.ts';

/** The shortest command has an array's header, an op, a request id and an argument. */
const LEAST_COMMAND_BYTES = 4;
export interface RouterOptions {
  /** Command rings: those of the first worker by lane, then those of the next. */
  commands: readonly RingProducer[];
  /** Worker that owns each segment, Int32, shared. */
  owners: Int32Array;
  clock: Clock;
  stages: StageSampler;
  /** See FrontCell. */
  counters: Float64Array;
  /** Told of the timed commands of clients that name a SKU. */
  hot: HotSkus;
  gate: Gate;
  /** Checks a token, and answers, later, to the request id given as it came. Missing where there is no authentication. */
  onAuth?: ((connection: Connection, token: string, requestId: Uint8Array, mode: number) => void) | undefined;
}

/**
 * Takes frames apart and puts their commands into the rings of the workers that own their segments. Knows no sockets. Decodes
 * an op, a request id and the first argument; the rest is copied. What can be answered without a worker (TIME, what is malformed,
 * a full ring, a server that stops) is answered here, all answers to a frame in one.
 */
export class Router {
  /** Set when the server stops: commands are answered UNAVAILABLE. */
  draining = false;
  /** Set while the store stands still: commands that change state are answered UNAVAILABLE. */
  refusingChanges = false;
  /** Commands put into rings and not answered yet, over all connections. */
  inFlight = 0;
  /** Whether a command routed since the last publication reads a whole segment, for milliseconds. */
  heavy = false;
  /** Commands put into rings since they were last published. */
  unpublished = 0;
  /** HOLDs refused unread since whoever looks at it has set it back. */
  refusedUnread = 0;
  private readonly commands: readonly RingProducer[];
  /** For each ring, the position of its worker's settle ring that it was stamped with last. */
  private readonly stamps: Int32Array;
  private readonly owners: Int32Array;
  private readonly clock: Clock;
  private readonly stages: StageSampler;
  private readonly counters: Float64Array;
  private readonly hot: HotSkus;
  /** Who sent the frame at hand: index among SOURCES_OF_REPLIES. */
  private source = 0;
  /** The status that the front answered to the command at hand, for its trace; -1 for none. */
  private said = -1;
  private readonly gate: Gate;
  private readonly onAuth: RouterOptions['onAuth'];
  private readonly cursor = new Cursor();
  private readonly peek = new CommandPeek();
  private readonly hash = new SkuHash();
  /** Answers of the front's own to the frame at hand, sent when they are all there or there is no room for another. */
  private readonly own = new Uint8Array(MAX_FRAME_BYTES);
  private readonly writer = new Writer(this.own);
  private readonly unread = new UnreadRefusals(this.own);

  constructor(options: RouterOptions) {
    this.commands = options.commands;
    this.stamps = Int32Array.from(this.commands, (_, at) => this.commands[at - (at % LANES)]?.position ?? 0);
    this.owners = options.owners;
    this.clock = options.clock;
    this.stages = options.stages;
    this.counters = options.counters;
    this.hot = options.hot;
    this.gate = options.gate;
    this.onAuth = options.onAuth;
  }

  /**
   * Routes every command of a binary frame, or of a text frame or HTTP request that was encoded (mode). What was claimed is
   * published later, once for all frames of a turn.
   */
  onFrame(connection: Connection, frame: Uint8Array, mode: number): void {
    this.source = mode === Mode.INTERNAL ? 1 : 0;
    this.stages.arrive(frame.length / LEAST_COMMAND_BYTES, this.unpublished);
    const { cursor, writer } = this;
    const { traces } = this.stages;
    cursor.reset(frame, 0, frame.length);
    writer.pos = 0;
    let broken = 0;
    while (cursor.pos < cursor.end) {
      if (writer.pos > MAX_FRAME_BYTES - MAX_REPLY_BYTES) {
        this.flush(connection, mode);
        // Sending can close a connection whose client does not read. Its index may be given to another one from now on.
        if (!connection.open) break;
      }
      if (this.gate.shut && this.refuseUnread(connection)) continue;
      const reason = this.peek.read(cursor);
      if (reason === 0) {
        this.route(connection, frame, mode);
        if (traces.pending) this.stages.notTaken(this.peek.op, this.said);
        // AUTH may be answered at once, and that is sending, too.
        if (!connection.open) break;
        continue;
      }
      if (traces.pending) this.stages.notTaken(0, -1);
      if (reason === TRACE) {
        this.expectTraced(connection, frame);
        continue;
      }
      add(this.counters, FrontCell.UNREADABLE + reason, 1);
      if (this.peek.requestBytes > 0) this.answer(frame, Status.MALFORMED, reason, this.peek.element);
      if (!this.peek.resumable) broken = reason;
      // Without a request id there is nothing else to answer to, and what lies behind a break in the frame goes unread.
      if (this.peek.requestBytes === 0 || broken !== 0) this.pushError(reason, cursor.pos);
      if (broken !== 0) break;
    }
    if (traces.pending) this.stages.notTaken(0, -1);
    if (!connection.open) return;
    if (writer.pos > 0) this.flush(connection, mode);
    if (broken !== 0) this.noteBroken(connection, broken);
    else connection.brokenFrames = 0;
  }

  /** Counts frames in a row that could not be read to their end; a connection that sends nothing else is closed. */
  noteBroken(connection: Connection, reason: number): void {
    if (++connection.brokenFrames < MAX_BROKEN_FRAMES) return;
    add(this.counters, FrontCell.CLOSED_BROKEN, 1);
    connection.sink.close(
      1008,
      `${MAX_BROKEN_FRAMES} frames could not be read; the last: ${reasonName(reason)}`,
    );
  }

  /** Makes the commands routed so far visible to their workers. */
  publish(): void {
    this.stages.publish(this.unpublished);
    this.unpublished = 0;
    this.heavy = false;
    // A worker's settle lane first: who sees a command on a SKU must see those on holds that it has to wait for.
    for (const ring of this.commands) ring.publish();
  }

  private route(connection: Connection, frame: Uint8Array, mode: number): void {
    const { peek } = this;
    const { op } = peek;
    if (((connection.mayOps >>> op) & 1) === 0) {
      const { authReason } = connection;
      if (authReason !== 0) this.answer(frame, Status.UNAUTHENTICATED, authReason, -1);
      else this.answer(frame, Status.FORBIDDEN, OP_SCOPES[op] as number, -1);
      return;
    }
    if (op === Op.AUTH) {
      this.authenticate(connection, frame, mode);
      return;
    }
    if (this.draining || (this.refusingChanges && OP_CHANGES[op])) {
      this.answer(frame, Status.UNAVAILABLE, RETRY_LATER_MS, -1);
      return;
    }
    let lo = peek.lo;
    let hi = peek.hi;
    let segment: number;
    const { route } = OP_SHAPES[op] as { route: number };
    if (route === Route.SKU) {
      const { hash } = this;
      hash.run(frame, peek.skuStart, peek.skuBytes);
      if (hash.bits >= 0x80 && !isUtf8(frame.subarray(peek.skuStart, peek.skuStart + peek.skuBytes))) {
        add(this.counters, FrontCell.UNREADABLE + Reason.NOT_UTF8, 1);
        this.answer(frame, Status.MALFORMED, Reason.NOT_UTF8, 2);
        return;
      }
      lo = hash.lo;
      hi = hash.hi;
      segment = segmentOfHash(hi, this.owners.length);
    } else if (route === Route.HOLD) {
      segment = lo >>> SLOT_BITS;
      if (segment >= this.owners.length) {
        this.answer(frame, Status.UNKNOWN_HOLD, -1, -1);
        return;
      }
    } else if (op === Op.TIME) {
      this.answerTime(frame);
      return;
    } else {
      this.heavy = true;
      segment = lo;
      if (segment >= this.owners.length) {
        add(this.counters, FrontCell.UNREADABLE + Reason.OUT_OF_BOUNDS, 1);
        this.answer(frame, Status.MALFORMED, Reason.OUT_OF_BOUNDS, 2);
        return;
      }
    }
    const worker = this.owners[segment] as number;
    const lanes = worker * LANES;
    const lane = lanes + laneOf(op, connection.vip);
    const ring = this.commands[lane] as RingProducer;
    const settled = (this.commands[lanes + Lane.SETTLE] as RingProducer).position;
    // Commands on SKUs wait for those on holds before them; one stamp serves for all up to the next command on a hold.
    const stamp = settled === this.stamps[lane] || route === Route.HOLD ? 0 : STAMP_BYTES;
    const bytes = stamp + COMMAND_HEAD_BYTES + peek.end - peek.requestStart;
    const { gate } = this;
    let layer = gate.admit(connection, op, lo, hi, segment, worker);
    let at = layer === 0 ? ring.claim(bytes, stamp === 0 ? connection.index : ~connection.index) : -1;
    if (at < 0) {
      if (layer === 0) layer = gate.ringFull(worker);
      this.answer(frame, layerStatus(layer), gate.retryMs, layer);
      return;
    }
    const { i32, u8 } = ring;
    if (stamp !== 0) {
      this.stamps[lane] = settled;
      i32[at >> 2] = settled;
      at += STAMP_BYTES;
    }
    const words = at >> 2;
    let slot = 0;
    if (this.unpublished === this.stages.next || gate.probe)
      slot = this.stages.take(worker, segment, op, this.unpublished, gate.probe);
    gate.probe = false;
    if (slot !== 0 && route === Route.SKU && mode !== Mode.INTERNAL)
      this.hot.note(frame, peek.skuStart, peek.skuBytes, lo, hi, this.stages.weightOf(slot));
    i32[words] = commandInfo(op, peek.count, mode, peek.requestBytes, segment, slot);
    // Who may touch the holds of others asks for them as nobody, whom the segments let.
    const anyHolder = connection.admin && route === Route.HOLD;
    i32[words + 1] = anyHolder ? 0 : connection.holderLo;
    i32[words + 2] = anyHolder ? 0 : connection.holderHi;
    i32[words + 3] = lo;
    i32[words + 4] = hi;
    let to = at + COMMAND_HEAD_BYTES;
    for (let from = peek.requestStart; from < peek.end; from++) u8[to++] = frame[from] as number;
    if (((connection.auditOps >>> op) & 1) !== 0) this.audit(connection, frame);
    connection.inFlight++;
    gate.entered(worker);
    this.inFlight++;
    this.unpublished++;
  }

  /**
   * While every worker has enough to do: refuses the HOLDs that come next in the frame, where nothing has a word in it but the load. Returns whether
   * there were any.
   */
  private refuseUnread(connection: Connection): boolean {
    const { gate } = this;
    const others = this.draining || this.refusingChanges || this.stages.traces.pending;
    if (others || ((connection.mayOps >>> Op.HOLD) & 1) === 0 || !gate.refusesHolds(connection)) return false;
    const layer = gate.refuseHolds();
    const count = this.unread.run(this.cursor, this.writer, gate.retryMs, layer);
    gate.turnedAwayHolds(count);
    add(this.counters, replyCell(this.source, Op.HOLD, Status.BUSY), count);
    this.refusedUnread += count;
    return count > 0;
  }

  /** Asked for by a traceparent, for the command behind it. */
  private expectTraced(connection: Connection, frame: Uint8Array): void {
    const { peek, stages } = this;
    this.said = -1;
    if (stages.traces.expect(frame, peek.skuStart, peek.skuBytes, connection.name))
      stages.expectTraced(this.unpublished);
  }

  private audit({ audit }: Connection, frame: Uint8Array): void {
    const { op, requestStart, requestBytes, skuStart, skuBytes, lo, hi } = this.peek;
    const id = frame.slice(requestStart, requestStart + requestBytes);
    const bySku = OP_SHAPES[op]?.route === Route.SKU;
    const sku = bySku && Buffer.from(frame.buffer, frame.byteOffset + skuStart, skuBytes).toString();
    audit?.begun(op, id, sku || hi * 2 ** 32 + (lo >>> 0));
  }

  /** An answer of the front's own, with up to two results (-1: none). */
  private answer(frame: Uint8Array, status: number, first: number, second: number): void {
    const { writer, peek } = this;
    // Who may do nothing takes no part in traces either: they are few, and for others.
    this.said = status === Status.UNAUTHENTICATED ? -1 : status;
    add(this.counters, replyCell(this.source, known(peek.op), status), 1);
    writer.array(2 + (first >= 0 ? 1 : 0) + (second >= 0 ? 1 : 0));
    writer.copy(frame, peek.requestStart, peek.requestBytes);
    writer.int32(status);
    if (first >= 0) writer.int32(first);
    if (second >= 0) writer.int32(second);
  }

  /** Without authentication whoever brings a token is told who it is without. */
  private authenticate(connection: Connection, frame: Uint8Array, mode: number): void {
    const { writer, peek, onAuth } = this;
    const id = frame.slice(peek.requestStart, peek.requestStart + peek.requestBytes);
    if (onAuth !== undefined) {
      const token = Buffer.from(frame.buffer, frame.byteOffset + peek.skuStart, peek.skuBytes).toString();
      onAuth(connection, token, id, mode);
      return;
    }
    add(this.counters, replyCell(this.source, Op.AUTH, Status.OK), 1);
    const holder = Buffer.from(connection.holder);
    writer.array(4);
    writer.copy(id, 0, id.length);
    writer.int32(Status.OK);
    writer.textFrom(holder, 0, holder.length);
    writer.uint53(0);
  }

  private answerTime(frame: Uint8Array): void {
    const { writer, peek } = this;
    this.said = Status.OK;
    add(this.counters, replyCell(this.source, Op.TIME, Status.OK), 1);
    writer.array(3);
    writer.copy(frame, peek.requestStart, peek.requestBytes);
    writer.int32(Status.OK);
    writer.time(this.clock());
  }

  /** `[0, ERROR, MALFORMED, reason, offset of the byte behind it]`: for what has no request id to answer to. */
  private pushError(reason: number, offset: number): void {
    const { writer } = this;
    writer.array(5);
    writer.int32(PUSH);
    writer.int32(Push.ERROR);
    writer.int32(Status.MALFORMED);
    writer.int32(reason);
    writer.int32(offset);
  }

  private flush(connection: Connection, mode: number): void {
    const frame = this.own.subarray(0, this.writer.pos);
    this.writer.pos = 0;
    if (mode === Mode.BINARY) {
      connection.sink.send(frame);
      return;
    }
    for (const message of decodeAll(frame)) connection.sink.sendDecoded(mode, message as unknown[]);
  }
}

/** An op that there is, or 0. */
function known(op: number): number {
  return op > 0 && op < OP_SHAPES.length ? op : 0;
}
