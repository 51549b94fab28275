import { isDeepStrictEqual } from 'node:util';
import { HoldState, Op, opName, StockMode } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import { copyImage, imageWords, restoreImage } from '../../src/core/image.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { type SegmentOptions, Sku, TICK_MS } from '../../src/core/layout.ts';
import { Segment } from '../../src/core/segment.ts';
import { describeSegment, missingKeys } from './describe-segment.ts';
import {
  ANY_HOLDER,
  type Caller,
  type Command,
  DirectCaller,
  EncodedCaller,
  holderWords,
  makeSegment,
  type Reply,
  T0,
  wordsOf,
} from './fixtures.ts';
import { Between, Model, type ModelHold, type ModelKey } from './model.ts';
import { RecordingSink, replay } from './recording.ts';

/** One step of a run. Everything is a small number, so that a run shrinks well; holds are named by how recent they are. */
export interface Step {
  readonly kind:
    | 'hold'
    | 'confirm'
    | 'release'
    | 'extend'
    | 'return'
    | 'stock'
    | 'read'
    | 'readHold'
    | 'advance'
    | 'adopt'
    | 'snapshot'
    | 'recover';
  /** Passes before the step, in ms. */
  readonly waitMs: number;
  readonly sku: number;
  readonly holder: number;
  readonly hold: number;
  readonly quantity: number;
  readonly of: number;
  readonly ttl: number;
  readonly key: number;
  /** By the bytes of a command, or by the segment's own call. */
  readonly encoded: boolean;
}

export interface RunOptions extends Partial<SegmentOptions> {
  /** Times to live that the steps choose from. */
  readonly ttlsMs: readonly number[];
}

/** Times to live up to which the segment knows exactly when the earliest hold of a SKU ends. */
const EXACT_TTLS = 2;
/** How many overdue holds a HOLD that needs stock ends at most. */
const MOST_ENDED_BY_HOLD = 16;
const SKUS = ['pen', 'ink', 'a name that does not fit into the first cache line', 'never stocked'];
const HOLDERS = ['ann', 'bob', 'cid', 'dan'];

/** Plays steps on a segment and on the model, and compares replies and books after each. Returns the commands as rows. */
export function playSteps(steps: readonly Step[], { ttlsMs, ...overrides }: RunOptions): string[] {
  const run = new Run(ttlsMs, overrides);
  try {
    for (const step of steps) run.play(step);
  } catch (error) {
    throw new Error(`${(error as Error).message}\nafter\n${run.rows.slice(-40).join('\n')}`, {
      cause: error,
    });
  }
  return run.rows;
}

class Run {
  readonly rows: string[] = [];
  private readonly ttlsMs: readonly number[];
  private readonly exact: boolean;
  private readonly model: Model;
  private segment: Segment;
  private encoded: Caller;
  private direct: Caller;
  private readonly journal = new RecordingSink();
  private image: Int32Array | undefined;
  private now = T0;

  constructor(ttlsMs: readonly number[], overrides: Partial<SegmentOptions>) {
    this.ttlsMs = ttlsMs;
    this.exact = ttlsMs.length <= EXACT_TTLS;
    this.segment = makeSegment({ skus: 3, ...overrides, sink: this.journal });
    this.model = new Model(this.segment.options, this.exact);
    this.encoded = new EncodedCaller(this.segment);
    this.direct = new DirectCaller(this.segment);
  }

  play(step: Step): void {
    this.now += step.waitMs;
    const { segment, now } = this;
    if (step.kind === 'adopt') {
      const { buffer } = segment.memory.u8;
      this.goOnWith(
        new Segment(segment.number, segment.options, buffer as SharedArrayBuffer, this.journal),
        'adopt',
      );
    } else if (step.kind === 'snapshot') {
      this.image = new Int32Array(imageWords(segment));
      same(copyImage(segment, this.image), this.image.length, 'words of the image');
      this.rows.push(`${now - T0} | snapshot | LSN ${segment.lsn}`);
    } else if (step.kind === 'recover') {
      this.recover(step.quantity % 2 === 0 ? this.image : undefined);
    } else if (step.kind === 'advance') {
      this.advance(step.quantity % 2 === 0 ? 1000 : step.quantity);
    } else {
      const command = this.commandOf(step);
      this.command(command, this.holderOf(step, command), step.encoded);
    }
    this.compareBooks();
  }

  private goOnWith(segment: Segment, how: string): void {
    this.segment = segment;
    this.encoded = new EncodedCaller(segment);
    this.direct = new DirectCaller(segment);
    this.rows.push(`${this.now - T0} | ${how}`);
  }

  /** Carries on with a segment made of the image and the events behind it, or of all events. */
  private recover(image: Int32Array | undefined): void {
    const { segment, now, journal } = this;
    const { number, options } = segment;
    const recovered = makeSegment({ ...options, number, sink: journal });
    if (image !== undefined) restoreImage(recovered, image);
    replay(journal, recovered, now);
    const { keys: keysBefore, ...before } = describeSegment(segment);
    const { keys: keysAfter, ...after } = describeSegment(recovered);
    same(after, before, 'what was recovered');
    same(missingKeys(keysBefore, keysAfter), [], 'keys that were lost');
    same(inspectSegment(recovered).violations, [], 'the invariant of what was recovered');
    // Replay keeps keys that are over; the model follows those that are forgotten.
    recovered.keys.forget(options.keys);
    this.goOnWith(recovered, `recover ${image === undefined ? 'from events' : 'from the image'}`);
    this.follow();
  }

  private commandOf(step: Step): Command {
    const ids = [...this.model.seen];
    // Mostly recent holds, forgotten ones too; now and then one that never was.
    const id = ids.length === 0 ? 2 ** 32 : (ids[Math.max(0, ids.length - 1 - step.hold)] as number);
    const sku = SKUS[step.sku % SKUS.length] as string;
    const ttlMs = this.ttlsMs[step.ttl % this.ttlsMs.length] as number;
    const quantity = step.quantity === 0 ? null : step.quantity;
    const of = step.of === 0 ? null : step.of;
    switch (step.kind) {
      case 'hold':
        return [Op.HOLD, sku, Math.max(1, step.quantity), ttlMs, step.key === 0 ? null : `key ${step.key}`];
      case 'confirm':
        return [Op.CONFIRM, id, quantity];
      case 'release':
        return [Op.RELEASE, id, quantity, of];
      case 'extend':
        return [Op.EXTEND, id, ttlMs];
      case 'return':
        return [Op.RETURN, id, quantity, of];
      case 'readHold':
        return [Op.READ_HOLD, id];
      case 'read':
        return [Op.READ, sku];
      default: {
        // The last of the SKUs is there to be unknown; settings change now and then, and are mostly no limits.
        const name = SKUS[step.sku % (SKUS.length - 1)] as string;
        const setting = (value: number): number | null => (value === 0 ? null : value > 3 ? 0 : value * 3);
        const total = step.hold % 2 === 0;
        const limits = [
          setting(step.key),
          setting(step.of),
          step.ttl === 0 ? null : step.ttl > 2 ? 0 : ttlMs,
        ];
        const amount = total ? step.quantity * 4 : step.quantity - 2;
        return [Op.STOCK, name, total ? StockMode.TOTAL : StockMode.DELTA, amount, ...limits];
      }
    }
  }

  /** Mostly the one who has the hold, or who may touch it in his stead, so that the command means something. */
  private holderOf(step: Step, [, target]: Command): string {
    const owner = this.model.holds.get(target as number)?.holder;
    if (owner === undefined || step.holder === 0) return HOLDERS[step.holder % HOLDERS.length] as string;
    return step.holder === 3 ? ANY_HOLDER : owner;
  }

  private command(command: Command, holder: string, encoded: boolean): void {
    const { now, model } = this;
    const came = (encoded ? this.encoded : this.direct).send(command, now, holder);
    const [op, ...args] = command;
    this.rows.push(`${now - T0} | ${holder}: ${opName(op)} ${args.join(' ')} | ${named(came).join(' ')}`);
    const expired = this.follow();
    const expected = model.apply(command, now, holder, came);
    same(named(came), named(settle(expected, came)), 'the last reply');
    const short = came[0] === Status.HELD_OUT || came[0] === Status.SOLD_OUT;
    if (op === Op.HOLD && short && this.exact && expired < MOST_ENDED_BY_HOLD) {
      const overdue = model.open(String(args[0])).filter((hold) => hold.endsAt <= now);
      same(overdue, [], 'what is due stands in the way');
    }
  }

  private advance(budget: number): void {
    const { now, model } = this;
    const done = this.segment.advance(now, budget);
    this.rows.push(`${now - T0} | advance ${budget} | ${done}`);
    same(Math.max(done, budget), budget, 'work within the budget');
    this.follow();
    if (done === budget) return;
    const tick = Math.floor((now + 1) / TICK_MS);
    const late = model.open().filter((hold) => Math.floor(hold.endsAt / TICK_MS) < tick);
    same(late, [], 'holds that should have ended');
    const over = model.keys.filter((key) => key.forgetAt !== undefined && key.forgetAt <= now);
    same(over, [], 'keys that should be forgotten');
  }

  /** Takes over what the segment may do at a time of its choice: end holds that are due, forget keys that are over. */
  private follow(): number {
    const { model, now } = this;
    let expired = 0;
    for (const hold of model.open()) {
      if (hold.endsAt > now || this.isOpen(hold)) continue;
      model.expire(hold, now);
      expired++;
    }
    for (const key of [...model.keys]) {
      const over = key.forgetAt !== undefined && key.forgetAt <= now;
      if (over && !this.knows(key)) model.keys.splice(model.keys.indexOf(key), 1);
    }
    return expired;
  }

  private isOpen(hold: ModelHold): boolean {
    const { lo, hi } = wordsOf(hold.id);
    const slot = this.segment.slotOf(lo, hi);
    return slot >= 0 && this.segment.holds.state(slot) === HoldState.HELD;
  }

  private knows(key: ModelKey): boolean {
    const { lo, hi } = holderWords(key.holder);
    const text = Buffer.from(key.text);
    const sku = [...this.model.skus.keys()].indexOf(key.sku);
    return this.segment.keys.find(sku, lo, hi, text, 0, text.length) >= 0;
  }

  private compareBooks(): void {
    const { model, segment } = this;
    const found = inspectSegment(segment);
    same(found.violations, [], 'the invariant');
    same(found.keys, model.keys.length, 'keys');
    same(found.openHolds, model.open().length, 'open holds');
    for (const hold of model.open()) same(this.isOpen(hold), true, `that hold ${hold.id} is open`);
    for (const [index, name] of [...model.skus.keys()].entries()) {
      const record = segment.skus.at(index);
      const [available, held, sold, total] = [Sku.AVAILABLE, Sku.HELD, Sku.SOLD, Sku.TOTAL].map(
        (word) => segment.memory.i32[record + word],
      );
      const books = [model.available(name), model.held(name), model.sku(name).sold, model.sku(name).total];
      same([available, held, sold, total], books, `the books of ${name}`);
    }
  }
}

/** Throws when two values differ. A run compares a dozen times for each of its steps, for which a matcher is too slow. */
function same(came: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(came, expected)) return;
  throw new Error(`${what}: ${JSON.stringify(came)}, and the model says ${JSON.stringify(expected)}`);
}

/** The expected reply with what came in the places of estimates that it lies within. */
function settle(expected: Reply, came: Reply): unknown[] {
  return expected.map((value, index) => {
    if (!(value instanceof Between)) return value;
    const result = came[index] as number;
    return result >= value.least && result <= value.most ? result : value;
  });
}

function named([status, ...results]: unknown[]): unknown[] {
  return [statusName(status as number), ...results];
}
