import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Hearing, type JudgeOptions } from './hearing.ts';
import { HoldBook } from './hold-book.ts';
import { KeyBook } from './key-book.ts';
import type { Entry, HoldRecord, KeyRecord, SkuRecord } from './records.ts';
import type { ServerTime } from './server-time.ts';
import { type SkuPlan, StockBook } from './stock-book.ts';
import type { Tally } from './tally.ts';

/**
 * Holds what clients sent and heard against what was promised, over kills and starts of the server. It knows nothing but the clients'
 * logs and the protocol's specification. Where answers are missing it keeps every state that is possible, and each answer that
 * comes later, at whichever start of the server, rules some out for good.
 */
export class Judge {
  private readonly hearing: Hearing;
  private readonly holdBook: HoldBook;
  private readonly keyBook: KeyBook;
  private readonly stockBook: StockBook;

  constructor(options: JudgeOptions, skus: readonly SkuPlan[], time: ServerTime) {
    this.hearing = new Hearing(options, time);
    this.holdBook = new HoldBook(this.hearing);
    this.keyBook = new KeyBook(this.hearing, this.holdBook);
    this.stockBook = new StockBook(this.hearing, skus);
  }

  get tally(): Tally {
    return this.hearing.tally;
  }

  /** Holds that are looked after, by id. */
  get holds(): ReadonlyMap<number, HoldRecord> {
    return this.holdBook.holds;
  }

  /** Keys by keyName(). */
  get keys(): ReadonlyMap<string, KeyRecord> {
    return this.keyBook.keys;
  }

  get skus(): ReadonlyMap<string, SkuRecord> {
    return this.stockBook.skus;
  }

  /** The server was started again, and its clock was looked at. */
  started(time: ServerTime): void {
    const { hearing } = this;
    const jumpMs = hearing.time.known ? time.jumpFrom(hearing.time) : 0;
    const where = jumpMs < 0 ? `back by ${Math.ceil(-jumpMs)} ms` : `ahead by ${Math.ceil(jumpMs)} ms`;
    if (jumpMs !== 0) hearing.violate('clock', `the server's time went ${where} over a restart`, []);
    hearing.time = time;
  }

  /** A command leaves. */
  sent(entry: Entry): void {
    this.tally.commands++;
    if (entry.op === Op.HOLD) this.keyBook.sent(entry, this.stockBook.sku(entry.args[0] as string));
    else if (isOnHold(entry.op)) this.holdBook.sent(entry);
  }

  /** A command was answered, or, with null for an answer, never will be. Returns the hold that a HOLD made known. */
  resolved(entry: Entry): HoldRecord | undefined {
    if (entry.op === Op.HOLD)
      return this.keyBook.resolved(entry, this.stockBook.sku(entry.args[0] as string));
    if (entry.op === Op.STOCK) this.stockBook.stocked(entry);
    else if (entry.op === Op.READ) this.stockBook.checkSum(entry);
    else if (isOnHold(entry.op)) this.holdBook.resolved(entry);
    return undefined;
  }

  /** READ of a SKU while nothing else is under way, after its holds were read: counts as they must be. */
  checkBooks(entry: Entry): void {
    this.stockBook.checkBooks(entry);
  }

  /** READ of a SKU once every deadline and a grace have passed. */
  checkReturned(entry: Entry): void {
    this.stockBook.checkReturned(entry);
  }

  /** INSPECT of a segment. */
  checkSegment(entry: Entry): void {
    const { answer } = entry;
    if (answer?.[0] !== Status.OK) return;
    const [, , , available, held, sold, total, , violations] = answer as number[];
    if (violations === 0 && available + held + sold === total) return;
    const counts = `${available} available + ${held} held + ${sold} sold, ${total} in total`;
    this.hearing.violate('I1', `segment ${entry.args[0]}: ${violations} violations, ${counts}`, [entry]);
  }

  /** An audit is over: what has ended and was read after several starts is only counted from now on. */
  retire(nowMs: number): void {
    this.holdBook.retire();
    this.keyBook.retire(nowMs);
  }

  /** Nobody will send a HOLD again whose answer is missing. */
  abandon(key: KeyRecord): void {
    this.keyBook.abandon(key);
  }

  /** Whether the server has to know a key now. */
  remembers(key: KeyRecord, nowMs: number): boolean {
    return this.keyBook.remembers(key, nowMs);
  }

  /** When the last of the holds has ended that may be open, by the clock of the clients. */
  lastDeadline(nowMs: number): number {
    return nowMs + this.holdBook.lastDeadline() - this.hearing.at(nowMs).from;
  }

  /** What is still undecided when a run ends counts as such. */
  finish(): void {
    for (const { unknown } of [...this.holds.values(), ...this.keys.values(), ...this.skus.values()]) {
      this.tally.undecided += unknown;
    }
  }
}

function isOnHold(op: number): boolean {
  return (
    op === Op.CONFIRM || op === Op.RELEASE || op === Op.EXTEND || op === Op.RETURN || op === Op.READ_HOLD
  );
}
