import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Prng } from '../../src/base/prng.ts';
import { Connection } from '../load/connection.ts';
import { FIRST_REQUEST_ID } from '../load/frames.ts';
import { tokenFor, upgradePath } from '../load/pass.ts';
import { type Account, noteEnd } from './account.ts';
import { Flights } from './flights.ts';
import { FrameWriter } from './frame-writer.ts';
import { Group, Lane } from './group.ts';
import { Meter } from './meter.ts';
import { drawSkus } from './popularity.ts';
import type { Share } from './share.ts';

/** Most commands of a thread under way; more have to wait, and their wait counts. */
const FLIGHTS = 1 << 19;
const DRAWN = 1 << 18;
const WRITER_BYTES = 1 << 20;
/** Connections that are made at once: more than a listener's queue takes would be dropped and tried again a second later. */
const AT_ONCE = 100;
const REOPEN_MS = 5;
/** Of commands whose answers nobody reads. */
const UNHEARD_ID = FIRST_REQUEST_ID;
/** The client knows the server's time no better than this. */
const CLOCK_MS = 100;

/** A hold whose client will come back to it. */
interface Visit {
  readonly op: number;
  readonly sku: number;
  readonly lane: Lane;
  readonly holdHi: number;
  readonly holdLo: number;
  readonly deadlineMs: number;
  readonly dueMs: number;
}

/** All clients of one thread: what they send, and what they were told. */
export class Clients {
  readonly meter = new Meter();
  /** What the streams in the background are answered. */
  private readonly aside = new Meter();
  readonly counts: Record<string, number> = {};
  readonly failure: Promise<never>;
  fail: (error: Error) => void = () => {};
  stopped = false;
  private readonly share: Share;
  private readonly account: Account;
  private readonly groups: Group[];
  private readonly lanes: Lane[] = [];
  private readonly flights = new Flights(FLIGHTS);
  private readonly writer: FrameWriter;
  private readonly drawn: Int32Array;
  private readonly random: Prng;
  private nextDrawn = 0;
  /** What is to be done in each ms after the start. */
  private readonly visits: (Visit[] | undefined)[] = [];
  private nextVisitMs = 0;
  private visitsLeft = 0;
  private startMs = 0;
  private opening = 0;

  constructor(share: Share, account: Account) {
    const { skus, popularity, thread } = share;
    this.share = share;
    this.account = account;
    this.random = new Prng(share.seed + 7919 * thread);
    this.writer = new FrameWriter(share.skuPrefix, WRITER_BYTES);
    this.drawn = drawSkus(skus, popularity, DRAWN, share.seed + thread);
    this.groups = share.streams.map((stream) => new Group(stream, share.lengthMs));
    this.failure = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failure.catch(() => {});
  }

  /** Makes all connections. */
  async open(): Promise<void> {
    for (const group of this.groups) {
      for (let i = 0; i < group.stream.connections; i++) {
        const lane = new Lane(this.lanes.length, group);
        this.lanes.push(lane);
        group.lanes.push(lane);
      }
    }
    for (let first = 0; first < this.lanes.length; first += AT_ONCE) {
      await Promise.all(this.lanes.slice(first, first + AT_ONCE).map((lane) => this.connect(lane)));
    }
  }

  start(startMs: number): void {
    this.startMs = startMs;
    this.turn(0);
  }

  /** What is due at a time after the start, ms: holds, visits to holds, broken connections. */
  turn(nowMs: number): void {
    for (; this.nextVisitMs <= nowMs; this.nextVisitMs++) {
      const visits = this.visits[this.nextVisitMs];
      if (visits === undefined) continue;
      this.visits[this.nextVisitMs] = undefined;
      for (const visit of visits) this.visit(visit, nowMs);
    }
    if (this.stopped) return;
    for (const group of this.groups) {
      if (!group.isOn(nowMs)) continue;
      if (group.rate > 0) this.sendDue(group, nowMs);
      else if (!group.begun) for (const lane of group.lanes) this.topUp(lane, nowMs);
      group.begun = true;
      for (let cuts = group.cutsDue(nowMs); cuts > 0; cuts--) this.cut(this.random.pick(group.lanes));
    }
  }

  /** Whether all who wanted a certain number of holds have been answered. */
  get satisfied(): boolean {
    const counted = this.groups.filter(({ stream }) => stream.background !== true);
    return counted.every(({ stream, answered }) => stream.holds !== undefined && answered >= stream.holds);
  }

  /** Whether nothing is under way and no client means to come back. */
  get idle(): boolean {
    return this.flights.count === 0 && this.visitsLeft === 0 && this.opening === 0;
  }

  /** Nobody asks for a hold any more. What is due by then and cannot be sent stays offered. */
  stop(atMs: number): void {
    for (const group of this.groups) {
      if (group.rate === 0) continue;
      if (group.isOn(atMs)) this.sendDue(group, atMs);
      const notSent = group.offered - group.sent;
      if (notSent >= group.stream.commandsPerFrame) this.count('notSent', notSent);
    }
    this.stopped = true;
  }

  /** What has no answer will get none. */
  giveUp(): void {
    this.flights.giveUp(-1, (at) => this.noteUnsure(at));
    // Nobody came back to these in time: they are left to expire.
    if (this.visitsLeft > 0) this.count('visitsLeftOut', this.visitsLeft);
  }

  close(): void {
    for (const lane of this.lanes) lane.connection?.destroy();
  }

  private async connect(lane: Lane): Promise<void> {
    const { port, pass, thread } = this.share;
    const name = `stress-${thread}-${lane.index}`;
    const token = await tokenFor(pass, name, ['hold']);
    const path = upgradePath(name, token);
    const connection = await Connection.open({ port, path, token, answers: 'replies' });
    lane.connection = connection;
    connection.onFailure = (error) => this.onBroken(lane, connection, error);
    connection.scanner.onReply = (id, status) =>
      this.onReply(lane, id, status, connection.readAtMs - this.startMs);
    if (lane.group.stream.deaf) connection.deafen();
    else if (lane.group.rate === 0)
      connection.onRead = () => this.topUp(lane, performance.now() - this.startMs);
  }

  /** A connection that the server ended: as it should one that never reads, and no other. */
  private onBroken(lane: Lane, connection: Connection, error: Error): void {
    if (lane.connection !== connection) return;
    if (lane.group.stream.deaf !== true) {
      this.fail(new Error(`The server ended a connection: ${error.message}`));
      return;
    }
    this.count('slowReadersClosed', 1);
    lane.connection = undefined;
    this.dropFlights(lane);
  }

  /** Breaks a connection and makes it anew. */
  private cut(lane: Lane): void {
    const { connection } = lane;
    if (connection === undefined) return;
    this.count('connectionsCut', 1);
    lane.connection = undefined;
    connection.destroy();
    this.dropFlights(lane);
    this.opening++;
    setTimeout(() => {
      this.connect(lane)
        .catch(this.fail)
        .finally(() => this.opening--);
    }, REOPEN_MS);
  }

  private dropFlights(lane: Lane): void {
    const before = this.flights.count;
    this.flights.giveUp(lane.index, (at) => this.noteUnsure(at));
    lane.inFlight = 0;
    this.count('cutOff', before - this.flights.count);
  }

  /** Keeps a closed loop's frames under way. */
  private topUp(lane: Lane, nowMs: number): void {
    const { group } = lane;
    const { commandsPerFrame, framesInFlight = 0, holds = Number.POSITIVE_INFINITY } = group.stream;
    if (this.stopped || !group.isOn(nowMs)) return;
    let frames = framesInFlight - Math.ceil(lane.inFlight / commandsPerFrame);
    while (frames > 0 && group.sent < holds && this.flights.hasRoom(commandsPerFrame)) {
      const count = Math.min(commandsPerFrame, holds - group.sent);
      if (!this.writer.hasRoom(commandsPerFrame)) this.flush(lane);
      this.meterOf(group).offered += count;
      this.writeHolds(lane, count, nowMs, nowMs);
      frames--;
    }
    this.flush(lane);
  }

  /** Sends an open loop's frames that are due. They go to the connections in turn; one that takes nothing is passed by. */
  private sendDue(group: Group, nowMs: number): void {
    const { commandsPerFrame } = group.stream;
    this.offerDue(group, nowMs);
    while (group.offered - group.sent >= commandsPerFrame && this.flights.hasRoom(commandsPerFrame)) {
      const lane = group.nextReady();
      if (lane === undefined) return;
      this.writeHolds(lane, commandsPerFrame, group.dueMs(group.sent + commandsPerFrame), nowMs);
      this.flush(lane);
    }
  }

  private offerDue(group: Group, nowMs: number): void {
    const due = group.dueBy(nowMs);
    this.meterOf(group).offered += due - group.offered;
    group.offered = due;
  }

  private writeHolds(lane: Lane, count: number, dueMs: number, nowMs: number): void {
    const { writer, flights, drawn } = this;
    const { endTogetherMs, ttlMs } = lane.group.stream;
    const ttl = endTogetherMs === undefined ? ttlMs : Math.max(1, Math.round(endTogetherMs - nowMs));
    const { deaf } = lane.group.stream;
    writer.begin();
    for (let i = 0; i < count; i++) {
      const sku = drawn[this.nextDrawn] as number;
      this.nextDrawn = (this.nextDrawn + 1) & (DRAWN - 1);
      writer.hold(deaf ? UNHEARD_ID : flights.add(Op.HOLD, sku, lane.index, dueMs, 0), sku, ttl);
    }
    writer.finish();
    if (deaf) this.account.unsureHolds += count;
    else lane.inFlight += count;
    lane.group.sent += count;
  }

  private visit(visit: Visit, nowMs: number): void {
    const { lane, op, sku, deadlineMs } = visit;
    if (lane.connection === undefined || !this.flights.hasRoom(1)) {
      this.schedule(visit, nowMs + REOPEN_MS);
      return;
    }
    this.visitsLeft--;
    this.count('settled', 1);
    this.meterOf(lane.group).offered++;
    lane.inFlight++;
    this.writer.begin();
    const id = this.flights.add(op, sku, lane.index, visit.dueMs, deadlineMs);
    this.writer.end(op, id, visit.holdHi, visit.holdLo);
    this.writer.finish();
    this.flush(lane);
  }

  /** Sends what is written. The socket layer keeps what the kernel does not take at once, so that is a copy of its own. */
  private flush(lane: Lane): void {
    const { writer } = this;
    if (writer.pos === 0) return;
    lane.connection?.write(Buffer.from(writer.u8.subarray(0, writer.pos)));
    writer.pos = 0;
  }

  private onReply(lane: Lane, id: number, status: number, nowMs: number): void {
    const { flights } = this;
    const at = flights.placeOf(id);
    const op = flights.op[at];
    this.meterOf(lane.group).answer(status, nowMs - (flights.dueMs[at] as number));
    lane.inFlight--;
    if (op === Op.HOLD) {
      lane.group.answered++;
      if (status === Status.OK) this.noteHold(lane, flights.sku[at] as number, nowMs);
    } else {
      this.noteEnded(at, op as number, status);
    }
    flights.remove(at);
  }

  private noteHold(lane: Lane, sku: number, nowMs: number): void {
    const { u8, at } = (lane.connection as Connection).scanner;
    const deadlineMs = u8.readUInt32BE(at + 17) * 2 ** 32 + u8.readUInt32BE(at + 21);
    noteEnd(this.account, deadlineMs, 1);
    const { checkout } = lane.group.stream;
    if (checkout === undefined) return;
    const draw = this.random.below(1000) / 1000;
    if (draw >= checkout.confirm + checkout.release) return;
    const [least, most] = checkout.thinkMs;
    const dueMs = nowMs + least + this.random.below(most - least + 1);
    const op = draw < checkout.confirm ? Op.CONFIRM : Op.RELEASE;
    const [holdHi, holdLo] = [u8.readUInt32BE(at + 8), u8.readUInt32BE(at + 12)];
    this.visitsLeft++;
    this.schedule({ op, sku, lane, holdHi, holdLo, deadlineMs, dueMs }, dueMs);
  }

  private schedule(visit: Visit, atMs: number): void {
    const ms = Math.max(this.nextVisitMs, Math.ceil(atMs));
    const visits = this.visits[ms];
    if (visits === undefined) this.visits[ms] = [visit];
    else visits.push(visit);
  }

  private noteEnded(at: number, op: number, status: number): void {
    const { account, flights } = this;
    const deadlineMs = flights.deadlineMs[at] as number;
    if (status === Status.OK) {
      if (op === Op.CONFIRM) account.confirmed[flights.sku[at] as number]++;
      noteEnd(account, deadlineMs, -1);
      return;
    }
    // Refused because a queue was full or the store away: it is held still, and will expire.
    if (status === Status.BUSY || status === Status.UNAVAILABLE) {
      if (status === Status.BUSY) this.count('settlingRefused', 1);
      return;
    }
    // Behind its deadline a hold may be expired, or forgotten.
    if (this.serverMs() >= deadlineMs - CLOCK_MS) return;
    account.lost++;
    noteEnd(account, deadlineMs, -1);
  }

  /** What a command without an answer may have done. */
  private noteUnsure(at: number): void {
    const { account, flights } = this;
    const op = flights.op[at];
    if (op === Op.CONFIRM) account.unsureConfirms[flights.sku[at] as number]++;
    account.unsureHolds++;
    if (op !== Op.HOLD) noteEnd(account, flights.deadlineMs[at] as number, -1);
  }

  private serverMs(): number {
    return Date.now() + this.share.aheadMs;
  }

  private meterOf(group: Group): Meter {
    return group.stream.background ? this.aside : this.meter;
  }

  private count(name: string, by: number): void {
    this.counts[name] = (this.counts[name] ?? 0) + by;
  }
}
