import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { SegmentOptions } from '../../src/core/layout.ts';
import type { Sent } from './session.ts';

/** Of a hold, what its clients know together. */
interface Known {
  readonly id: number;
  readonly holder: string;
  sku: string | undefined;
  /** Units, from what was acknowledged last; Infinity while nothing was. */
  held: number;
  sold: number;
  /** When it was first acknowledged; Infinity before. */
  heardAt: number;
  /** The latest deadline that was acknowledged; 0 while none was. */
  deadline: number;
  /** How it ended, as far as anybody was told: a HoldState, or 0. */
  end: number;
  endKnownAt: number;
  /** When a command that could end it was first sent; Infinity before. */
  endAskedAt: number;
  /** Commands under way that could change it, and when the last change was heard of. */
  pending: number;
  changedAt: number;
  /** Set when an answer will never come. */
  doubt: boolean;
}

/** What a key was first answered with. */
interface Keyed {
  readonly id: number;
  readonly endsAt: number;
  readonly body: string;
  readonly heardAt: number;
}

type Complain = (kind: string, what: string) => void;
type Answers = readonly unknown[];

/**
 * What the clients of a run know from their own intents and the answers they got, and what may never contradict it: the
 * invariants I2 to I5, and that no more is promised than there is. It knows nothing of segments, rings and threads.
 */
export class Ledger {
  private readonly options: SegmentOptions;
  private readonly skewMs: number;
  private readonly complain: Complain;
  private readonly holds = new Map<string, Known>();
  private readonly holderOf = new Map<number, string>();
  /** Holds that a key was answered with, by SKU, holder and key. */
  private readonly keys = new Map<string, Keyed[]>();
  private readonly stocks = new Map<string, { total: number; pending: Sent[] }>();

  /** @param skewMs how far a worker's clock may be behind the clients' */
  constructor(options: SegmentOptions, skewMs: number, complain: Complain) {
    this.options = options;
    this.skewMs = skewMs;
    this.complain = complain;
  }

  /** Holds that were acknowledged, for whoever wants to ask after them. */
  acknowledged(): { id: number; holder: string }[] {
    return [...this.holds.values()].filter((hold) => this.holderOf.get(hold.id) === hold.holder);
  }

  sent(sent: Sent): void {
    const { op, args, flaw } = sent.command;
    if (flaw !== undefined) return;
    if (op === Op.STOCK) this.stockOf(args[0] as string).pending.push(sent);
    if (!canEnd(op)) return;
    const hold = this.known(args[0] as number, sent.session.holder);
    hold.pending++;
    hold.endAskedAt = Math.min(hold.endAskedAt, sent.sentAt - this.skewMs);
  }

  /** The answer to a command will never be heard. */
  lost(sent: Sent): void {
    const { op, args, flaw } = sent.command;
    if (flaw !== undefined || !canEnd(op)) return;
    const hold = this.known(args[0] as number, sent.session.holder);
    hold.pending--;
    hold.doubt = true;
  }

  /** A command was answered at `now` by the front's clock, no earlier than it was applied. */
  answered(sent: Sent, answer: Answers, now: number, order: number): void {
    const { op, args, flaw } = sent.command;
    if (flaw !== undefined) return;
    const [status] = answer as [number];
    if (op === Op.STOCK) this.stocked(sent, answer);
    if (op === Op.HOLD) {
      this.placed(sent, answer, now, order);
    } else if (typeof args[0] === 'number' && op !== Op.INSPECT) {
      const hold = this.known(args[0], sent.session.holder);
      if (status === Status.UNKNOWN_OUTCOME) {
        this.lost(sent);
        return;
      }
      if (canEnd(op)) hold.pending--;
      this.learn(hold, sent, answer, now, order);
    }
  }

  /** The most units that can exist of a SKU, whichever of the commands under way were carried out. */
  mostOf(sku: string): number {
    const { total, pending } = this.stockOf(sku);
    let most = total;
    for (const { command } of pending) {
      const [, mode, amount] = command.args as [string, number, number];
      most = Math.max(most, mode === StockMode.TOTAL ? amount : most + amount);
    }
    return most;
  }

  /** No SKU may have promised more than there is. Only counts what is certain at `now`. */
  checkOversell(now: number): void {
    const promised = new Map<string, number>();
    for (const hold of this.holds.values()) {
      if (hold.sku === undefined) continue;
      promised.set(hold.sku, (promised.get(hold.sku) ?? 0) + certain(hold, now));
    }
    for (const [sku, units] of promised) {
      if (units > this.mostOf(sku))
        this.complain('oversell', `${units} of ${sku} promised of ${this.mostOf(sku)}`);
    }
  }

  /** Units sold of a SKU, or undefined where an answer was lost that would tell. */
  soldOf(sku: string): number | undefined {
    let sold = 0;
    for (const hold of this.holds.values()) {
      if ((hold.sku ?? sku) !== sku) continue;
      if (hold.doubt) return undefined;
      if (hold.end !== HoldState.CONFIRMED) continue;
      if (hold.sku === undefined) return undefined;
      sold += hold.sold;
    }
    return Number.isFinite(sold) ? sold : undefined;
  }

  private placed(sent: Sent, answer: Answers, now: number, order: number): void {
    const [sku, quantity, ttlMs, key] = sent.command.args as [string, number, number, string | undefined];
    const { holder } = sent.session;
    const [status, id, endsAt] = answer as [number, number, number];
    if (status === Status.OK) {
      const owner = this.holderOf.get(id);
      if (owner !== undefined && (owner !== holder || key === undefined)) {
        this.complain('I2', `hold ${id} was given out twice`);
      }
      this.holderOf.set(id, holder);
      const hold = this.known(id, holder);
      hold.sku = sku;
      hold.heardAt = Math.min(hold.heardAt, order);
      hold.held = Math.min(hold.held, quantity);
      hold.deadline = Math.max(hold.deadline, endsAt);
    }
    if (key !== undefined)
      this.keyed(`${sku}|${holder}|${key}`, `${quantity}|${ttlMs}`, sent, answer, now, order);
  }

  /** A HOLD with a key: as long as the key is surely kept, the answer is the first one's, or a conflict with it. */
  private keyed(scope: string, body: string, sent: Sent, answer: Answers, now: number, order: number): void {
    const [status, id, endsAt] = answer as [number, number, number];
    if (status === Status.BUSY || status === Status.UNAVAILABLE || status === Status.UNKNOWN_OUTCOME) return;
    const known = this.keys.get(scope) ?? [];
    for (const first of known) {
      if (first.heardAt > sent.order || this.mayForgetKey(first, sent.session.holder, now)) continue;
      const wanted =
        first.body === body ? [Status.OK, first.id, first.endsAt] : [Status.KEY_CONFLICT, first.id];
      if (wanted.every((value, at) => value === answer[at])) continue;
      this.complain(
        'I4',
        `key ${scope} stands for ${first.body} of hold ${first.id}; ${body} got ${answer.join(' ')}`,
      );
    }
    if (status !== Status.OK || known.some((first) => first.id === id)) return;
    const entry = { id, endsAt, body, heardAt: order };
    for (const other of known) {
      // Which came first cannot be told, but the key of one of them has to be forgotten by now.
      if ([other, entry].some((one) => this.mayForgetKey(one, sent.session.holder, now))) continue;
      this.complain('I4', `key ${scope} stands for hold ${other.id} and for hold ${id}`);
    }
    known.push(entry);
    this.keys.set(scope, known);
  }

  private mayForgetKey({ id, endsAt }: Keyed, holder: string, now: number): boolean {
    const ended = Math.min(endsAt, this.known(id, holder).endAskedAt);
    return ended + this.options.keyRetentionMs <= now;
  }

  /** Takes what an answer says about a hold, and holds it against what was said before. */
  private learn(hold: Known, sent: Sent, answer: Answers, now: number, order: number): void {
    const { op } = sent.command;
    const [status, first] = answer as [number, number];
    if (status === Status.OK && (this.holderOf.get(hold.id) ?? hold.holder) !== hold.holder) {
      this.complain('I2', `${hold.holder} may do with hold ${hold.id}, which is not theirs`);
    }
    if (op === Op.READ_HOLD && status === Status.OK) this.compare(hold, sent, answer, now, order);
    else if (status === Status.UNKNOWN_HOLD) this.missing(hold, sent, now);
    else if (status === Status.EXPIRED) this.expired(hold, first, now, order);
    else if (status === Status.RELEASED) this.ended(hold, HoldState.RELEASED, order);
    else if (status === Status.CONFIRMED) this.ended(hold, HoldState.CONFIRMED, order);
    else if (status === Status.NOT_CONFIRMED) this.open(hold, sent);
    else if (status === Status.OK) this.done(hold, sent, first, order);
    if (status === Status.OK && op !== Op.READ_HOLD) hold.changedAt = order;
  }

  private done(hold: Known, sent: Sent, result: number, order: number): void {
    switch (sent.command.op) {
      case Op.CONFIRM:
        this.ended(hold, HoldState.CONFIRMED, order);
        hold.sold = Math.min(hold.sold, result);
        return;
      case Op.RETURN:
        this.ended(hold, HoldState.CONFIRMED, order);
        hold.sold = Math.min(hold.sold, result);
        return;
      case Op.RELEASE:
        if (result === 0) this.ended(hold, HoldState.RELEASED, order);
        else this.open(hold, sent);
        hold.held = Math.min(hold.held, result);
        return;
      default:
        this.open(hold, sent);
        if (result < hold.deadline && hold.changedAt < sent.order && hold.heardAt < sent.order)
          this.complain('I2', `EXTEND made hold ${hold.id} shorter`);
        hold.deadline = Math.max(hold.deadline, result);
    }
  }

  /** READ_HOLD: what it says has to be what was acknowledged, unless something was under way. */
  private compare(hold: Known, sent: Sent, answer: Answers, now: number, order: number): void {
    const [, state, , held, sold, , endsAt] = answer as [
      number,
      number,
      string,
      number,
      number,
      number,
      number,
    ];
    if (state === HoldState.HELD) this.open(hold, sent);
    else if (state === HoldState.EXPIRED) this.expired(hold, endsAt, now, order);
    else this.ended(hold, state, order);
    if (hold.pending > 0 || hold.doubt || hold.changedAt > sent.order || hold.heardAt > sent.order) return;
    if (state === HoldState.HELD && (held !== hold.held || endsAt < hold.deadline)) {
      this.complain(
        'I2',
        `hold ${hold.id} has ${held} units until ${endsAt}, not ${hold.held} until ${hold.deadline}`,
      );
    }
    if (state === HoldState.CONFIRMED && hold.sold !== Infinity && sold !== hold.sold) {
      this.complain('I2', `hold ${hold.id} has ${sold} units sold, not ${hold.sold}`);
    }
  }

  private expired(hold: Known, at: number, now: number, order: number): void {
    if (at > now || at < hold.deadline) {
      this.complain(
        'I5',
        `at ${now} hold ${hold.id} expired at ${at}, and its deadline was ${hold.deadline}`,
      );
    }
    this.ended(hold, HoldState.EXPIRED, order);
  }

  private ended(hold: Known, state: number, order: number): void {
    if (hold.end !== 0 && hold.end !== state) {
      this.complain('I5', `hold ${hold.id} ended in state ${hold.end}, then in state ${state}`);
    }
    if (hold.end === 0) hold.endKnownAt = order;
    hold.end = state;
  }

  /** It was still open when the command that says so was applied. */
  private open(hold: Known, sent: Sent): void {
    if (hold.end !== 0 && hold.endKnownAt < sent.order) {
      this.complain('I5', `hold ${hold.id} was open again after it had ended in state ${hold.end}`);
    }
  }

  /** UNKNOWN_HOLD: only of one that is nobody's, or ended, or not placed yet. */
  private missing(hold: Known, sent: Sent, now: number): void {
    if (hold.heardAt > sent.order || hold.pending > 0 || hold.doubt) return;
    const kept = hold.end === HoldState.CONFIRMED && hold.endAskedAt + this.options.soldRetentionMs > now;
    if (kept || (hold.end === 0 && hold.deadline > now)) this.complain('I2', `hold ${hold.id} is unknown`);
  }

  private stocked(sent: Sent, answer: Answers): void {
    const stock = this.stockOf(sent.command.args[0] as string);
    const status = answer[0] as number;
    // One client stocks, so its answers come in order. Of what it never hears, all is possible for ever.
    if (status === Status.UNKNOWN_OUTCOME) return;
    stock.pending.splice(stock.pending.indexOf(sent), 1);
    if (status === Status.OK && !stock.pending.some((other) => other.order < sent.order)) {
      stock.total = answer[4] as number;
    } else if (status === Status.OK) {
      stock.total = Math.max(stock.total, answer[4] as number);
    }
  }

  private stockOf(sku: string): { total: number; pending: Sent[] } {
    let stock = this.stocks.get(sku);
    if (stock === undefined) {
      stock = { total: 0, pending: [] };
      this.stocks.set(sku, stock);
    }
    return stock;
  }

  private known(id: number, holder: string): Known {
    const name = `${holder}/${id}`;
    let hold = this.holds.get(name);
    if (hold === undefined) {
      const nothing = { sku: undefined, held: Infinity, sold: Infinity, heardAt: Infinity, deadline: 0 };
      const noEnd = { end: 0, endKnownAt: 0, endAskedAt: Infinity, pending: 0, changedAt: 0, doubt: false };
      hold = { id, holder, ...nothing, ...noEnd };
      this.holds.set(name, hold);
    }
    return hold;
  }
}

/** Whether a command can end a hold or take units from it. */
function canEnd(op: number): boolean {
  return op === Op.CONFIRM || op === Op.RELEASE || op === Op.RETURN;
}

/** Units that are certainly held, or sold, by a hold. */
function certain(hold: Known, now: number): number {
  if (hold.heardAt === Infinity || hold.pending > 0 || hold.doubt) return 0;
  if (hold.end === HoldState.CONFIRMED) return hold.sold === Infinity ? 0 : hold.sold;
  return hold.end === 0 && hold.deadline > now ? hold.held : 0;
}
