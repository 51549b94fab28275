import { Packr } from 'msgpackr';
import { MAX_QUANTITY, SLOT_BITS } from '../../protocol/limits.ts';
import { OP_SHAPES, Op, opName, Route, StockMode } from '../../protocol/ops.ts';
import { SkuHash, segmentOfHash } from '../../src/base/hash.ts';
import type { Prng } from '../../src/base/prng.ts';
import { drawFlaw, type Flaw, GARBAGE, GARBAGE_FLAW } from './flaws.ts';
import type { Scenario } from './scenario.ts';

/** A command as its client means it, and as it goes over the wire. */
export interface Command {
  readonly op: number;
  readonly request: number;
  /** What stands behind the request id; what is left out at the end, or nil, is undefined. */
  readonly args: readonly unknown[];
  readonly bytes: Uint8Array;
  /** Segment that it is for, which need not exist; -1 for none. */
  readonly segment: number;
  readonly flaw?: Flaw;
}

/** A hold that clients have heard of. */
export interface KnownHold {
  readonly id: number;
  readonly holder: string;
}

const packr = new Packr({ useRecords: false });
/** How many holds of each holder are remembered for further commands. */
const REMEMBERED = 8;
/** After about so many uses the clients turn to another SKU. */
const FASHION = 80;
/** One in so many commands is an INSPECT, which takes longer than all others together. */
const INSPECTIONS = 250;
const SLOTS = 2 ** SLOT_BITS;

/** Draws commands at random: mostly sensible ones on few SKUs and holds, so that they meet. */
export class CommandMaker {
  private readonly prng: Prng;
  private readonly scenario: Scenario;
  private readonly known = new Map<string, number[]>();
  private readonly hash = new SkuHash();
  private readonly ops: readonly number[];
  private hot: string;

  constructor(prng: Prng, scenario: Scenario) {
    this.prng = prng;
    this.scenario = scenario;
    this.hot = scenario.skus[0];
    const weights: [op: number, weight: number][] = [
      [Op.HOLD, 40],
      [Op.CONFIRM, 10 + prng.below(10)],
      [Op.RELEASE, 10 + prng.below(10)],
      [Op.EXTEND, prng.below(12)],
      [Op.RETURN, prng.below(12)],
      [Op.READ, 5],
      [Op.READ_HOLD, 6],
      [Op.TIME, 2],
    ];
    this.ops = weights.flatMap(([op, weight]) => new Array<number>(weight).fill(op));
  }

  /** Notes that clients have heard of a hold. */
  learn(id: number, holder: string): void {
    const ids = this.known.get(holder) ?? [];
    if (ids.includes(id)) return;
    ids.push(id);
    if (ids.length > REMEMBERED) ids.shift();
    this.known.set(holder, ids);
  }

  /** Any command; `stocks` allows STOCK, which one client alone sends, so that its results can be foreseen. */
  draw(request: number, holder: string, stocks: boolean): Command {
    const { prng } = this;
    if (stocks && prng.oneIn(4)) return this.stock(request);
    if (prng.oneIn(INSPECTIONS)) return this.make(Op.INSPECT, request, this.args(Op.INSPECT, holder));
    const drawn = prng.pick(this.ops);
    // Before there is any hold, there is nothing better to do than to place one.
    const op = OP_SHAPES[drawn].route === Route.HOLD && this.known.size === 0 ? Op.HOLD : drawn;
    const args = this.args(op, holder);
    return prng.oneIn(20) ? this.spoil(op, request, args) : this.make(op, request, args);
  }

  /** A command with these arguments. */
  make(op: number, request: number, args: readonly unknown[]): Command {
    const wire = args.map((arg) => this.onWire(arg));
    // What is left out at the end may also be said to be nil.
    if (!this.prng.oneIn(3)) while (wire.length > 0 && wire.at(-1) === null) wire.pop();
    const bytes = pack([op, this.onWire(request), ...wire]);
    return { op, request, args, bytes, segment: this.segmentOf(op, args[0]) };
  }

  /** Bytes that are no command at all. */
  garbage(request: number): Command {
    return { op: 0, request, args: [], bytes: this.prng.pick(GARBAGE), segment: -1, flaw: GARBAGE_FLAW };
  }

  /** STOCK with a random total, change and settings. */
  private stock(request: number): Command {
    const { prng } = this;
    const sku = prng.pick(this.scenario.skus);
    const total = prng.oneIn(2);
    const amount = prng.oneIn(30) ? MAX_QUANTITY : total ? prng.below(20) : prng.below(16) - 5;
    const settings = [this.setting(4), this.setting(6), this.some(prng.pick([0, 0, ...this.scenario.ttls]))];
    return this.make(Op.STOCK, request, [
      sku,
      total ? StockMode.TOTAL : StockMode.DELTA,
      amount,
      ...settings,
    ]);
  }

  private args(op: number, holder: string): unknown[] {
    const { prng, scenario } = this;
    switch (op) {
      case Op.HOLD: {
        const key = prng.oneIn(3) ? prng.pick(scenario.keys) : undefined;
        return [this.sku(), this.quantity(), prng.pick(scenario.ttls), key];
      }
      case Op.CONFIRM:
        return [this.holdId(holder), this.some(this.quantity())];
      case Op.RELEASE:
      case Op.RETURN:
        return [this.holdId(holder), this.some(this.quantity()), this.some(this.quantity())];
      case Op.EXTEND:
        return [this.holdId(holder), prng.pick(scenario.ttls)];
      case Op.READ:
        return [this.sku()];
      case Op.READ_HOLD:
        return [this.holdId(holder)];
      case Op.INSPECT:
        return [prng.below(scenario.engine.segments + 1)];
      default:
        return [];
    }
  }

  /** A command that is none: an argument that cannot be, or bytes that are no command. */
  private spoil(op: number, request: number, args: readonly unknown[]): Command {
    const drawn = drawFlaw(this.prng, op, args, this.onWire(request));
    const segment = drawn.flaw.finder === 'segment' ? this.segmentOf(op, args[0]) : -1;
    const bytes = drawn.bytes ?? pack([drawn.op ?? op, drawn.request, ...drawn.args]);
    return { op, request, args, bytes: drawn.alter?.(bytes) ?? bytes, segment, flaw: drawn.flaw };
  }

  private segmentOf(op: number, first: unknown): number {
    if (op === Op.TIME) return -1;
    if (op === Op.INSPECT) return first as number;
    if (typeof first === 'number') return Math.floor(first / SLOTS) % 1024;
    const name = Buffer.from(first as string);
    this.hash.run(name, 0, name.length);
    return segmentOfHash(this.hash.hi, this.scenario.engine.segments);
  }

  private onWire(arg: unknown): unknown {
    if (arg === undefined) return null;
    // As a 64-bit integer, or as JavaScript libraries write what exceeds 32 bits: as a float.
    if (typeof arg === 'number' && arg > 0xffffffff && this.prng.oneIn(2)) return BigInt(arg);
    return arg;
  }

  private sku(): string {
    const other = this.prng.oneIn(3) ? this.prng.pick(this.scenario.skus) : this.hot;
    if (this.prng.oneIn(FASHION)) this.hot = other;
    return other;
  }

  private quantity(): number {
    return this.prng.oneIn(10) ? 1 + this.prng.below(30) : 1 + this.prng.below(4);
  }

  private setting(most: number): number | undefined {
    if (this.prng.oneIn(2)) return undefined;
    return this.prng.oneIn(2) ? 0 : 1 + this.prng.below(most);
  }

  private some(value: number): number | undefined {
    return this.prng.oneIn(2) ? value : undefined;
  }

  private holdId(holder: string): number {
    const { prng } = this;
    const others = prng.oneIn(10) ? prng.pick([...this.known.keys(), holder]) : holder;
    const ids = this.known.get(others) ?? [];
    const id = ids.length > 0 ? prng.pick(ids) : 0x100000000;
    if (!prng.oneIn(25)) return id;
    return prng.pick([id + 1, id + 0x100000000, id + 5 * SLOTS, 1, Number.MAX_SAFE_INTEGER]);
  }
}

/** A value's MessagePack, in memory of its own: the packer's is used again. */
export function pack(value: unknown): Uint8Array {
  return Uint8Array.prototype.slice.call(packr.pack(value));
}

/** A command in words, for messages. */
export function describe({ op, request, args }: Command): string {
  return `${opName(op)} ${request} ${args.map((arg) => arg ?? 'nil').join(' ')}`.trimEnd();
}
