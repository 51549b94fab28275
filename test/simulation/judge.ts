import { RETRY_LATER_MS } from '../../protocol/limits.ts';
import { OP_CHANGES, Op, PUSH, Push } from '../../protocol/ops.ts';
import { Layer, Reason, Status, statusName } from '../../protocol/status.ts';
import { BUSY_RETRY_MS } from '../../src/admission/gate.ts';
import { MAX_COMMAND_EVENT_BYTES } from '../../src/core/events.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { Header } from '../../src/core/layout.ts';
import { Segment } from '../../src/core/segment.ts';
import type { Front } from '../../src/front/front.ts';
import { recordBytes } from '../../src/ring/layout.ts';
import { eventReserveBytes, LANE_NAMES, Lane, laneOf } from '../../src/shard/lanes.ts';
import type { EngineMemory } from '../../src/shard/memory.ts';
import { COMMAND_RECORD_BYTES } from '../../src/shard/records.ts';
import { type Command, describe } from './commands.ts';
import { hasEventRoom } from './event-ring.ts';
import { SegmentHistory } from './history.ts';
import { Ledger } from './ledger.ts';
import { bytesOf, type LanePair, Lines } from './lines.ts';
import { isEqual, SegmentModel } from './model.ts';
import type { Sent, Session } from './session.ts';
import type { HoldRecord } from './shelf.ts';
import type { Observer } from './tap.ts';

/** Something that must not happen, and which promise it breaks. */
export interface Violation {
  readonly kind: string;
  readonly what: string;
}

/** A hold is ended when the 8 ms of its bucket are over. */
const BUCKET_MS = 8;
const MOST_VIOLATIONS = 20;
/** What a worker wants of its event ring before it runs commands: as much as 16 can cause. */
const COMMANDS_EVENT_BYTES = 16 * MAX_COMMAND_EVENT_BYTES;
const LONGEST_RECORD = recordBytes(COMMAND_RECORD_BYTES);

/**
 * Holds everything that happens in a run against what was promised. It sees commands leave, enter a ring, be applied
 * and be answered; replays them on a model in the order of their application; and asks the clients' ledger.
 */
export class Judge implements Observer {
  readonly violations: Violation[] = [];
  readonly ledger: Ledger;
  readonly models: SegmentModel[];
  /** What became of each segment, for one that is restored. */
  readonly histories: readonly SegmentHistory[];
  protected memory: EngineMemory;
  private headers: readonly Float64Array[];
  private lines: Lines;
  private readonly owners: Int32Array;
  protected readonly clock: () => number;
  protected readonly count: (what: string) => void;
  /** Whether the front refuses everything because the server stops, and whether all that changes state because the store stands still. */
  draining = false;
  refusing = false;
  /** Kinds of violation to overlook. */
  unseen: readonly string[] = [];
  private order = 0;
  /** Commands that were answered on behalf of a dead thread since somebody last took over. */
  private refused = 0;

  constructor(memory: EngineMemory, skewMs: number, clock: () => number, count: (what: string) => void) {
    this.memory = memory;
    this.headers = headersOf(memory);
    this.clock = clock;
    this.count = count;
    this.owners = new Int32Array(memory.owners);
    this.ledger = new Ledger(memory.segmentOptions, skewMs, (kind, what) => this.violate(kind, what));
    this.lines = new Lines(memory);
    this.histories = memory.segments.map((_, number) => new SegmentHistory(() => this.newModel(number)));
    this.models = memory.segments.map((_, number) => this.newModel(number));
  }

  /** Goes on with another engine, whose rings are empty. */
  protected turnTo(memory: EngineMemory): void {
    this.memory = memory;
    this.headers = headersOf(memory);
    this.lines = new Lines(memory);
  }

  violate(kind: string, what: string): void {
    if (this.unseen.includes(kind)) return;
    if (this.violations.length < MOST_VIOLATIONS) this.violations.push({ kind, what });
  }

  /** A frame of these commands is about to be handed to the router. Returns how the clients remember them. */
  sending(session: Session, commands: readonly Command[]): Sent[] {
    const broken = commands.findIndex((command) => command.flaw?.breaks);
    return commands.map((command, at) => {
      const sent = { session, command, order: ++this.order, sentAt: this.clock() };
      if (broken >= 0 && at > broken) return sent;
      if (command.flaw?.push || command.flaw?.breaks) session.pushesDue++;
      if (command.flaw?.push) return sent;
      session.outstanding.set(command.request, sent);
      this.ledger.sent(sent);
      return sent;
    });
  }

  /**
   * The router has had the frame. `claims` says of each command that was for a ring, in their order, whether there was room.
   * Fewer of them than commands are right only when the connection ended over the frame's first answers.
   */
  routed(session: Session, frame: readonly Sent[], claims: readonly boolean[]): void {
    const forRings = frame.filter(({ command }) => this.isForRing(command) && !this.isTurnedAway(command));
    const wanted = untilBroken(frame, forRings);
    if (claims.length > wanted.length || (session.open && claims.length < wanted.length)) {
      this.violate('reply', `${wanted.length} commands were for rings, and ${claims.length} were tried`);
    }
    if (session.open && session.pushesDue !== 0)
      this.violate('reply', `${session.pushesDue} pushes are missing`);
    for (const [at, fits] of claims.entries()) {
      const sent = wanted[at];
      if (sent === undefined) return;
      const line = this.lines.of(this.placeOf(sent));
      const bytes = bytesOf(sent.command);
      if (fits) {
        line.waiting.push(sent);
        line.waitingBytes += bytes;
      } else {
        this.count('busy');
        // At most one gap at the ring's end is in use and one would be made, neither longer than a record.
        const most = line.waitingBytes + line.appliedBytes + bytes + 2 * LONGEST_RECORD;
        if (most <= line.ringBytes) {
          this.violate('busy', `a ring with ${line.waitingBytes} + ${line.appliedBytes} bytes has no room`);
        }
        if (session.open && session.outstanding.has(sent.command.request))
          this.violate('busy', 'a full ring was not answered BUSY');
      }
    }
  }

  answered(pair: LanePair, tag: number, reply: unknown[], now: number, refused: boolean): void {
    const { worker, front, lane } = pair;
    const line = this.lines.of(pair);
    const sent = line.waiting.shift();
    const [request, ...answer] = reply;
    if (sent === undefined || sent.command.request !== request || sent.session.connection.index !== tag) {
      this.violate(
        'order',
        `worker ${worker} answers request ${request} of ${tag} at front ${front}, which is not the next one in its ${LANE_NAMES[lane]} lane`,
      );
      return;
    }
    const { command, session } = sent;
    if (lane !== Lane.SETTLE && this.lines.isHeldBack(pair, sent))
      this.violate('order', `${describe(command)} went before a command on a hold that was sent before it`);
    this.count(`lane-${LANE_NAMES[lane]}`);
    line.waitingBytes -= bytesOf(command);
    line.appliedBytes += bytesOf(command);
    sent.applied = answer;
    this.count(`status-${statusName(answer[0] as number)}`);
    if (refused) this.refused++;
    const wanted = refused
      ? [Status.UNKNOWN_OUTCOME]
      : this.isForLackOfRoom(pair, command, answer)
        ? answer
        : this.models[command.segment].apply(command, session.holder, now, answer);
    if (!refused) this.record(sent, answer);
    if (isEqual(wanted, answer)) return;
    const said = `${describe(command)} of ${session.holder} at ${now}: ${answer.join(' ')}`;
    this.violate('model', `${said}; expected ${wanted.join(' ')}`);
  }

  advanced(segment: number, now: number): void {
    this.models[segment].advance(now);
  }

  expired(segment: number, slot: number, now: number): void {
    this.models[segment].advance(now);
    this.models[segment].expire(slot);
    const at = this.models[segment].now;
    this.histories[segment].add((model) => {
      model.advance(at);
      model.expire(slot);
    });
  }

  wholeAgain(segment: number): void {
    this.histories[segment].whole = this.histories[segment].lsn;
  }

  published(pair: LanePair): void {
    this.lines.of(pair).appliedBytes = 0;
  }

  adopted(worker: number, fenced: number, struck: number, inCommand: boolean): void {
    if (this.refused !== (inCommand ? 1 : 0)) {
      this.violate(
        'fence',
        `${this.refused} commands were answered for worker ${worker}, which died ${inCommand ? 'in one' : 'in none'}`,
      );
    }
    this.refused = 0;
    if (fenced !== struck) {
      this.violate(
        'fence',
        `a death of worker ${worker} struck segment ${struck}, and ${fenced} was fenced off`,
      );
    }
    this.count('adopted');
    if (inCommand) this.count('refused-after-death');
    if (fenced < 0) return;
    this.count('fenced');
    this.models[fenced].fenced = true;
    this.models[fenced].fencedRetryMs = this.memory.storage === undefined ? 0 : RETRY_LATER_MS;
  }

  /** A worker's expiry found nothing more to do. */
  swept(worker: number): void {
    for (const [number, model] of this.models.entries()) {
      if (this.owners[number] !== worker || model.fenced) continue;
      for (const hold of model.overdue(BUCKET_MS)) {
        this.violate(
          'I3',
          `hold ${hold.id} is still held, ${this.clock() - hold.endsAt} ms after its deadline`,
        );
      }
    }
  }

  /** A message reached a client. */
  delivered(session: Session, message: readonly unknown[]): void {
    this.order++;
    const [request, ...answer] = message;
    if (request === PUSH) {
      session.pushesDue--;
      const wellFormed = answer[0] === Push.ERROR && answer[1] === Status.MALFORMED && answer.length === 4;
      if (!wellFormed || session.pushesDue < 0) this.violate('reply', `push ${message.join(' ')}`);
      return;
    }
    const sent = session.outstanding.get(request as number);
    if (sent === undefined) {
      this.violate(
        'reply',
        `${session.holder} got a reply to ${request}, which is not theirs or was answered before`,
      );
      return;
    }
    session.outstanding.delete(request as number);
    const wanted = sent.applied ?? this.frontAnswer(sent.command, answer);
    if (!isEqual(wanted, answer)) {
      this.violate('reply', `${describe(sent.command)} got ${answer.join(' ')}; it was ${wanted.join(' ')}`);
    }
    this.learn(sent, answer);
  }

  /** The clients take what an answer tells them for granted. */
  protected learn(sent: Sent, answer: readonly unknown[]): void {
    this.ledger.answered(sent, answer, this.clock(), this.order);
  }

  /** A connection ended: what was not answered on it never will be. */
  closed(session: Session): void {
    if (session.outstanding.size > 0) this.count('closed-in-flight');
    for (const sent of session.outstanding.values()) this.ledger.lost(sent);
  }

  /** Checks the books of every segment that is in service; a death that nobody has noticed yet may have struck some. */
  inspect(struck: readonly number[]): void {
    for (const [number, sab] of this.memory.segments.entries()) {
      if (this.models[number].fenced || struck.includes(number)) continue;
      const segment = new Segment(number, this.memory.segmentOptions, sab);
      for (const what of inspectSegment(segment).violations) this.violate('I1', what);
      if (segment.fenced) this.violate('fence', `segment ${number} is fenced off, and nobody died in it`);
    }
  }

  /** All that was sent is worked off now: everything must be answered. */
  drained(sessions: Iterable<Session>, fronts: readonly Front[]): void {
    for (const { waiting } of this.lines.all) {
      if (waiting.length > 0) this.violate('stuck', `${waiting.length} commands wait for their worker`);
    }
    for (const { holder, outstanding, connection } of sessions) {
      if (outstanding.size > 0) this.violate('reply', `${outstanding.size} replies to ${holder} are missing`);
      if (connection.inFlight !== 0)
        this.violate('reply', `${connection.inFlight} in flight when all is answered`);
    }
    for (const { connections, router } of fronts) {
      const { slots } = connections as unknown as { slots: unknown[] };
      const taken = slots.filter((connection) => connection !== undefined).length;
      if (taken !== connections.count)
        this.violate('leak', `${taken} indices are taken by ${connections.count} connections`);
      if (router.inFlight !== 0) this.violate('reply', `a front counts ${router.inFlight} in flight`);
    }
  }

  /** READ of a SKU once every deadline is past: nothing is held any more, and all is accounted for. */
  settled(sku: string, answer: readonly unknown[]): void {
    const [status, available, held, sold, total] = answer as number[];
    if (status !== Status.OK) return;
    if (held !== 0 || available + sold !== total) {
      this.violate('I3', `${sku}: available ${available}, held ${held}, sold ${sold}, total ${total}`);
    }
    const known = this.ledger.soldOf(sku);
    if (known !== undefined && known !== sold)
      this.violate('I2', `${sku}: ${sold} sold, and clients know of ${known}`);
    if (total > this.ledger.mostOf(sku))
      this.violate('I2', `${sku}: a total of ${total} that nobody asked for`);
  }

  /** Whether anything is under way. */
  busy(fronts: readonly Front[]): boolean {
    return (
      fronts.some(({ router }) => router.inFlight > 0) ||
      this.lines.all.some((line) => line.waiting.length > 0)
    );
  }

  /** Deadline of the last hold to end, in segments that are in service; 0 when nothing is held. */
  lastDeadline(): number {
    return Math.max(0, ...this.openOnes().map((hold) => hold.endsAt));
  }

  openHolds(): number {
    return this.openOnes().length;
  }

  private openOnes(): HoldRecord[] {
    return this.models.flatMap((model) => (model.fenced ? [] : model.overdue(-Infinity)));
  }

  /** The ring that a command belongs into. */
  private placeOf({ command, session }: Sent): LanePair {
    const lane = laneOf(command.op, session.connection.vip);
    return { worker: this.owners[command.segment], front: session.front, lane };
  }

  private newModel(number: number): SegmentModel {
    return new SegmentModel(number, this.memory.segmentOptions, (what) => this.violate('model', what));
  }

  /** Notes which change of its segment a command was, if it was one. */
  private record(sent: Sent, answer: readonly unknown[]): void {
    const { command, session } = sent;
    const history = this.histories[command.segment];
    // Others may have told the segment a later time than the command's.
    const { now, fenced } = this.models[command.segment];
    const lsn = this.headers[command.segment][Header.LSN_F64];
    if (fenced) return;
    if (lsn === history.lsn + 1)
      history.add((model) => void model.apply(command, session.holder, now, answer));
    else if (lsn !== history.lsn)
      this.violate('lsn', `${describe(command)} made LSN ${history.lsn} of its segment ${lsn}`);
    history.lsn = lsn;
    history.whole = lsn;
    sent.lsn = lsn;
  }

  /** Whether a command that changes state was sent back because the event ring is full, which it has to be. */
  private isForLackOfRoom({ worker, lane }: LanePair, { op }: Command, answer: readonly unknown[]): boolean {
    if (answer[0] !== Status.BUSY || !OP_CHANGES[op]) return false;
    this.count(`events-full-${LANE_NAMES[lane]}`);
    const own = this.memory.workers[worker];
    if (hasEventRoom(own, COMMANDS_EVENT_BYTES + eventReserveBytes(lane, own.eventRingBytes)))
      this.violate('busy', `worker ${worker} says BUSY, and its event ring has room`);
    return true;
  }

  /** Whether the front answers by itself what would otherwise be for a ring. */
  private isTurnedAway({ op, flaw }: Command): boolean {
    // The command with a name that is no text is a READ, whatever its client meant.
    return this.draining || (this.refusing && OP_CHANGES[op] && flaw?.reason !== Reason.NOT_UTF8);
  }

  private isForRing({ segment, flaw }: Command): boolean {
    return segment >= 0 && segment < this.models.length && flaw?.finder !== 'front';
  }

  /** What the front answers by itself; `actual` may be a BUSY, which is checked where room is claimed. */
  private frontAnswer(command: Command, actual: readonly unknown[]): readonly unknown[] {
    const { op, flaw, segment } = command;
    // A server that stops does not look at what a command is about any more.
    const away = this.isTurnedAway(command);
    const unread = away && flaw?.reason === Reason.NOT_UTF8;
    if (flaw?.finder === 'front' && !unread)
      return [Status.MALFORMED, flaw.reason, flaw.element ?? actual[2]];
    if (away) return [Status.UNAVAILABLE, RETRY_LATER_MS];
    if (op === Op.TIME) return [Status.OK, this.clock()];
    if (op === Op.INSPECT && segment >= this.models.length)
      return [Status.MALFORMED, Reason.OUT_OF_BOUNDS, 2];
    return segment >= this.models.length
      ? [Status.UNKNOWN_HOLD]
      : [Status.BUSY, BUSY_RETRY_MS, Layer.WORKER_QUEUE];
  }
}

function headersOf(memory: EngineMemory): Float64Array[] {
  return memory.segments.map((sab) => new Float64Array(sab, 0, Header.WORDS / 2));
}

/** Of these commands of a frame, those before the one that makes the rest unreadable. */
function untilBroken(frame: readonly Sent[], some: readonly Sent[]): readonly Sent[] {
  const broken = frame.findIndex((sent) => sent.command.flaw?.breaks);
  return broken < 0 ? some : some.filter((sent) => frame.indexOf(sent) < broken);
}
