import { setTimeout as sleep } from 'node:timers/promises';
import { Op, StockMode } from '../../protocol/ops.ts';
import type { Asker } from '../load/asker.ts';
import { skuName } from '../load/frames.ts';
import { insist } from '../load/insist.ts';
import type { Account } from './account.ts';
import type { ServerBooks } from './judge.ts';
import { longestTtlMs, type Scenario } from './scenario.ts';
import { readBooks, type Sums, type Target } from './target.ts';

/** After the last deadline everything has to be back within this. */
const BACK_MS = 20_000;
const LOOK_MS = 50;
/** The generator knows the server's time no better than this. */
const CLOCK_MS = 100;
/** Beyond so many SKUs, only the server's sums over all SKUs are compared. */
const MOST_READ = 20_000;
const ASKED_TOGETHER = 400;

/** Units of the run's own SKUs. */
interface OwnUnits {
  readonly held: number;
  readonly sold: number;
  /** Undefined where there are too many SKUs to read each. */
  readonly soldBySku?: Int32Array;
}

/** The server's side of a run: what its books say of the run's SKUs, before, when the last answer has come, and when every hold has ended. */
export class ServerSide {
  private readonly target: Target;
  private readonly asker: Asker;
  private readonly scenario: Scenario;
  private readonly skuPrefix: string;
  private before: Sums = { held: 0, sold: 0, violations: 0 };

  constructor(target: Target, asker: Asker, scenario: Scenario, skuPrefix: string) {
    this.target = target;
    this.asker = asker;
    this.scenario = scenario;
    this.skuPrefix = skuPrefix;
  }

  /** Notes what the books say before the run. */
  async open(): Promise<void> {
    this.before = await readBooks(this.target);
  }

  /** Adds units to each of the run's SKUs. */
  async restock(units: number): Promise<void> {
    await this.askEach((name) => [Op.STOCK, name, StockMode.DELTA, units]);
  }

  /** Reads the books now, and again when every hold has ended that the clients know of or may have. */
  async close(account: Account): Promise<ServerBooks> {
    const { scenario, target, before } = this;
    const atStop = await this.readOwn();
    const stopMs = this.serverMs() + CLOCK_MS;
    const lastEndMs = account.endsAt.findLastIndex((count) => count > 0) + account.originMs;
    // What nobody was told of ends with its time to live, counted from now at the latest.
    const unsure = account.unsureHolds > 0 ? longestTtlMs(scenario) : 0;
    await sleep(Math.max(0, lastEndMs - this.serverMs(), unsure));
    const deadline = performance.now() + BACK_MS;
    let atEnd = await this.readOwn();
    while (atEnd.held > 0 && performance.now() < deadline) {
      await sleep(LOOK_MS);
      atEnd = await this.readOwn();
    }
    const { violations } = await readBooks(target);
    const unitsPerSku = scenario.unitsPerSku + (scenario.restock?.units ?? 0);
    return {
      stocked: scenario.skus * unitsPerSku,
      unitsPerSku,
      heldAtStop: atStop.held,
      heldAtEnd: atEnd.held,
      stopMs,
      violationsBefore: before.violations,
      violations,
      sold: atEnd.sold,
      soldBySku: atEnd.soldBySku ?? null,
    };
  }

  /** Of few SKUs the sums of their own, so that others may use the server meanwhile; of many, the change of the sums over all. */
  private async readOwn(): Promise<OwnUnits> {
    const { scenario, target, before } = this;
    if (scenario.skus > MOST_READ) {
      const { held, sold } = await readBooks(target);
      return { held: held - before.held, sold: sold - before.sold };
    }
    const soldBySku = new Int32Array(scenario.skus);
    let held = 0;
    for (const [sku, reply] of (await this.askEach((name) => [Op.READ, name])).entries()) {
      held += reply[2] as number;
      soldBySku[sku] = reply[3] as number;
    }
    return { held, sold: soldBySku.reduce((sum, units) => sum + units, 0), soldBySku };
  }

  /** Asks a command of each SKU. Returns the replies in the order of the SKUs, all of them OK. */
  private async askEach(commandOf: (sku: string) => unknown[]): Promise<number[][]> {
    const { skus } = this.scenario;
    const replies: number[][] = [];
    for (let first = 0; first < skus; first += ASKED_TOGETHER) {
      const count = Math.min(ASKED_TOGETHER, skus - first);
      const lot = Array.from({ length: count }, (_, i) => commandOf(skuName(first + i, this.skuPrefix)));
      replies.push(...(await insist(this.asker, lot)));
    }
    return replies;
  }

  private serverMs(): number {
    return Date.now() + this.asker.aheadMs;
  }
}
