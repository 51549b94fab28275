import { Op, StockMode } from '../../protocol/ops.ts';
import type { Prng } from '../../src/base/prng.ts';
import { type Desk, type Intent, isRefusingAll } from './desk.ts';
import type { Judge } from './judge.ts';
import type { SkuPlan } from './stock-book.ts';

/** Frames of STOCK come this far apart, ms. */
const PAUSE_MS = 15;
const REFUSED_PAUSE_MS = 50;

/** The one client that stocks: sets the SKUs up, then adds, takes away, sets anew and changes settings, one command at a time for a SKU. */
export class Stocker {
  static readonly holder = 'stocker';
  private readonly skus: readonly SkuPlan[];
  private readonly judge: Judge;
  private readonly prng: Prng;

  constructor(skus: readonly SkuPlan[], judge: Judge, prng: Prng) {
    this.skus = skus;
    this.judge = judge;
    this.prng = prng;
  }

  /** What the SKUs are before anybody comes. */
  static opening(skus: readonly SkuPlan[]): Intent[] {
    return skus.map(({ name, total, maxPerHold, maxPerHolder, maxTtlMs }) => ({
      op: Op.STOCK,
      args: [name, StockMode.TOTAL, total, maxPerHold, maxPerHolder, maxTtlMs],
    }));
  }

  async work(desk: Desk, going: () => boolean): Promise<void> {
    while (desk.open && going()) {
      const first = this.prng.below(this.skus.length);
      const chosen = [0, 1, 2].map((by) => this.skus[(first + by) % this.skus.length] as SkuPlan);
      const entries = await desk.send(chosen.map((sku) => this.next(sku)));
      const pauseMs = isRefusingAll(entries) ? REFUSED_PAUSE_MS : PAUSE_MS;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  private next(sku: SkuPlan): Intent {
    const { prng } = this;
    const total = this.judge.skus.get(sku.name)?.stocks[0]?.total ?? sku.total;
    const dice = prng.below(10);
    const { name } = sku;
    if (dice < 4) return { op: Op.STOCK, args: [name, StockMode.DELTA, 1 + prng.below(5)] };
    if (dice < 7) return { op: Op.STOCK, args: [name, StockMode.DELTA, -1 - prng.below(5)] };
    if (dice < 9 || sku.maxPerHold === 0)
      return { op: Op.STOCK, args: [name, StockMode.TOTAL, total + prng.below(3)] };
    return { op: Op.STOCK, args: [name, StockMode.DELTA, 0, 1 + prng.below(sku.maxPerHold)] };
  }
}
