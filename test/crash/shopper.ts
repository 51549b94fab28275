import { HoldState, Op } from '../../protocol/ops.ts';
import type { Prng } from '../../src/base/prng.ts';
import { type Desk, type Intent, isRefusingAll } from './desk.ts';
import type { Judge } from './judge.ts';
import { type HoldRecord, type KeyRecord, keyName } from './records.ts';
import type { SkuPlan } from './stock-book.ts';

export interface ShopperOptions {
  readonly skus: readonly SkuPlan[];
  /** Shortest and longest time to live of its holds, ms. */
  readonly ttlMs: readonly [number, number];
}

/** Of its open holds, those that a shopper still does something with. */
const MOST_IN_HAND = 400;
const MOST_PER_FRAME = 8;
const MOST_FRAMES = 4;
const MOST_KEYS_AGAIN = 60;
/** Pause before the next frame, ms, at most; and when the server takes nothing. */
const PAUSE_MS = 4;
const REFUSED_PAUSE_MS = 30;

/**
 * A holder on several connections: places holds, with and without keys, and confirms, releases, extends and returns them, whole and
 * in part, several at once and in one frame. What it does follows from its seed and the answers.
 */
export class Shopper {
  readonly holder: string;
  readonly lanes: number;
  private readonly options: ShopperOptions;
  private readonly judge: Judge;
  private readonly prng: Prng;
  /** Holds that were placed over each connection, and that may still be changed. */
  private readonly hands: HoldRecord[][];
  private readonly recentKeys: KeyRecord[] = [];
  private lastKey = 0;

  constructor(holder: string, lanes: number, options: ShopperOptions, judge: Judge, prng: Prng) {
    this.holder = holder;
    this.lanes = lanes;
    this.options = options;
    this.judge = judge;
    this.prng = prng;
    this.hands = Array.from({ length: lanes }, () => []);
  }

  /** Shops over one connection until it ends or `going` says no: with one frame under way, or, over every other one, with several. */
  async shop(desk: Desk, going: () => boolean): Promise<void> {
    const frames = desk.lane % 2 === 0 ? 1 : MOST_FRAMES;
    await Promise.all(Array.from({ length: frames }, () => this.sendFrames(desk, going)));
  }

  private async sendFrames(desk: Desk, going: () => boolean): Promise<void> {
    const hand = this.hands[desk.lane] as HoldRecord[];
    while (desk.open && going()) {
      const intents: Intent[] = [];
      const commands = 1 + this.prng.below(MOST_PER_FRAME);
      while (intents.length < commands) intents.push(...this.next(hand));
      const entries = await desk.send(intents, (hold) => hand.push(hold));
      if (hand.length > MOST_IN_HAND) hand.splice(0, hand.length - MOST_IN_HAND);
      const pauseMs = isRefusingAll(entries) ? REFUSED_PAUSE_MS : this.prng.below(PAUSE_MS);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  /** A hold that became known when its HOLD was sent again. */
  take(hold: HoldRecord): void {
    this.hands[0]?.push(hold);
  }

  /** HOLDs whose answers are missing, to be sent again; one in four is given up. */
  missing(): Intent[] {
    const intents: Intent[] = [];
    for (const key of this.recentKeys) {
      if (key.hold !== undefined || key.unknown === 0) continue;
      if (this.prng.oneIn(4)) this.judge.abandon(key);
      else intents.push(again(key));
    }
    return intents;
  }

  /** HOLDs with keys that the server has to know: with the same body, and with another one. */
  known(nowMs: number): Intent[] {
    const keys = this.recentKeys.filter((key) => key.hold !== undefined && this.judge.remembers(key, nowMs));
    // Some are asked for again after the next start.
    this.recentKeys.splice(0, this.recentKeys.length, ...keys.filter(() => this.prng.oneIn(3)));
    return keys.map((key) => (this.prng.oneIn(3) ? withAnotherBody(key) : again(key)));
  }

  /** The next one or two commands. */
  private next(hand: HoldRecord[]): Intent[] {
    if (hand.length === 0 || this.prng.below(100) < 45) return this.placing();
    const at = this.prng.below(hand.length);
    const hold = hand[at] as HoldRecord;
    const state = hold.states[0]?.state ?? 0;
    const isOver = state > HoldState.CONFIRMED || this.judge.holds.get(hold.id) !== hold;
    if (hold.confused || isOver) {
      hand.splice(at, 1);
      return this.placing();
    }
    const intents = state === HoldState.HELD ? this.changing(hold) : this.returning(hold);
    if (this.prng.oneIn(8)) intents.push({ op: Op.READ_HOLD, args: [hold.id] });
    if (this.prng.oneIn(12)) intents.push(...this.changing(hold));
    return intents;
  }

  private placing(): Intent[] {
    const { prng } = this;
    const sku = prng.oneIn(5) ? (this.options.skus[0] as SkuPlan) : prng.pick(this.options.skus);
    const quantity = 1 + prng.below(sku.maxPerHold === 0 ? 4 : sku.maxPerHold);
    const [least, most] = this.options.ttlMs;
    const ttlMs = Math.min(least + prng.below(most - least), sku.maxTtlMs || most);
    if (prng.oneIn(10)) return [{ op: Op.READ, args: [sku.name] }];
    if (prng.oneIn(3)) return [{ op: Op.HOLD, args: [sku.name, quantity, ttlMs, undefined] }];
    const key = `${this.holder}-${++this.lastKey}`;
    const intent = { op: Op.HOLD, args: [sku.name, quantity, ttlMs, key] };
    this.watch(sku.name, key);
    // The same once more before there is an answer, as an impatient client would.
    return prng.oneIn(10) ? [intent, intent] : [intent];
  }

  /** Looks the key up when it is in the judge's books, a moment after it is sent. */
  private watch(sku: string, key: string): void {
    queueMicrotask(() => {
      const record = this.judge.keys.get(keyName(this.holder, sku, key));
      if (record === undefined) return;
      this.recentKeys.push(record);
      if (this.recentKeys.length > MOST_KEYS_AGAIN) this.forgetOneKey();
    });
  }

  /** Rather one with an answer. */
  private forgetOneKey(): void {
    const at = this.recentKeys.findIndex((key) => key.hold !== undefined || key.unknown === 0);
    this.recentKeys.splice(Math.max(0, at), 1);
  }

  private changing(hold: HoldRecord): Intent[] {
    const { prng } = this;
    const units = hold.states[0]?.units ?? 1;
    const part = 1 + prng.below(Math.max(1, units - 1));
    const dice = prng.below(100);
    if (dice < 25) return [{ op: Op.CONFIRM, args: [hold.id, undefined] }];
    if (dice < 38) return [{ op: Op.CONFIRM, args: [hold.id, part] }];
    if (dice < 52) return [{ op: Op.RELEASE, args: [hold.id, undefined, undefined] }];
    if (dice < 66) return [{ op: Op.RELEASE, args: [hold.id, part, units] }];
    const [least, most] = this.options.ttlMs;
    const ttlMs = Math.min(least + prng.below(most - least), hold.sku.stocks[0]?.maxTtlMs || most);
    return [{ op: Op.EXTEND, args: [hold.id, ttlMs] }];
  }

  private returning(hold: HoldRecord): Intent[] {
    const { prng } = this;
    const { units, sold } = hold.states[0] ?? { units: 1, sold: 1 };
    // A confirm once more gives the first answer again.
    if (!prng.oneIn(3) || sold === 0)
      return [{ op: Op.CONFIRM, args: [hold.id, prng.oneIn(2) ? units : undefined] }];
    if (prng.oneIn(2)) return [{ op: Op.RETURN, args: [hold.id, undefined, undefined] }];
    return [{ op: Op.RETURN, args: [hold.id, 1 + prng.below(sold), sold] }];
  }
}

function again({ sku, quantity, ttlMs, key }: KeyRecord): Intent {
  return { op: Op.HOLD, args: [sku.name, quantity, ttlMs, key] };
}

function withAnotherBody({ sku, quantity, ttlMs, key }: KeyRecord): Intent {
  return { op: Op.HOLD, args: [sku.name, quantity, ttlMs - 1, key] };
}
