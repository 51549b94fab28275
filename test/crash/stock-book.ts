import { HoldState, StockMode } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import type { Hearing } from './hearing.ts';
import type { Answer } from './hold-states.ts';
import {
  answerInWords,
  type Entry,
  type HoldRecord,
  isNotTaken,
  keep,
  type PossibleStock,
  type SkuRecord,
} from './records.ts';

/** A SKU as it is stocked before the clients come. */
export interface SkuPlan extends PossibleStock {
  readonly name: string;
}

/** The SKUs, with what was stocked and what their holds add up to: I1 and I3, and I2 of STOCK. */
export class StockBook {
  readonly skus = new Map<string, SkuRecord>();
  private readonly hearing: Hearing;

  constructor(hearing: Hearing, plans: readonly SkuPlan[]) {
    this.hearing = hearing;
    for (const { name, ...stock } of plans) {
      const counts = { stocks: [stock], soldBefore: 0, holds: new Set<HoldRecord>(), unknown: 0 };
      this.skus.set(name, { name, ...counts, holderLimit: stock.maxPerHolder, log: [] });
    }
  }

  sku(name: string): SkuRecord {
    return this.skus.get(name) as SkuRecord;
  }

  /** STOCK was answered, or not. There is one at a time for a SKU. */
  stocked(entry: Entry): void {
    const [name, mode, amount, perHold, perHolder, ttlMs] = entry.args as [
      string,
      number,
      number,
      ...(number | undefined)[],
    ];
    const sku = this.sku(name);
    keep(sku.log, entry);
    const answer = entry.answer as Answer | null;
    const changed = (stock: PossibleStock): PossibleStock => ({
      total: mode === StockMode.TOTAL ? amount : stock.total + amount,
      maxPerHold: perHold ?? stock.maxPerHold,
      maxPerHolder: perHolder ?? stock.maxPerHolder,
      maxTtlMs: ttlMs ?? stock.maxTtlMs,
    });
    if (answer === null || answer[0] === Status.UNKNOWN_OUTCOME) {
      this.hearing.tally.unknown++;
      sku.unknown++;
      sku.stocks = [...sku.stocks, ...sku.stocks.map(changed)];
      return;
    }
    const [status, available, held, sold, total] = answer as number[];
    if (isNotTaken(status)) return;
    if (available + held + sold !== total)
      this.hearing.violate('I1', `${name}: ${available} + ${held} + ${sold} is not ${total}`, sku.log);
    const next = (status === Status.OK ? sku.stocks.map(changed) : sku.stocks).filter(
      (stock) => stock.total === total,
    );
    if (next.length === 0) {
      this.hearing.violate(
        'I2',
        `${name} had ${sku.stocks.map((stock) => stock.total).join(' or ')} units; STOCK got ${answerInWords(answer)}`,
        sku.log,
      );
      sku.stocks = [{ ...changed(sku.stocks[0]), total }];
    } else {
      sku.stocks = next;
    }
    this.hearing.tally.undecided += sku.unknown;
    sku.unknown = 0;
  }

  /** READ, whatever else is under way: it is one moment of one SKU. */
  checkSum(entry: Entry): void {
    const [status, available, held, sold, total] = (entry.answer ?? [Status.BUSY]) as number[];
    if (status !== Status.OK) return;
    if (available + held + sold === total && Math.min(available, held, sold) >= 0) return;
    this.hearing.violate(
      'I1',
      `${entry.args[0]}: ${available} available + ${held} held + ${sold} sold, ${total} in total`,
      [entry],
    );
  }

  /** READ of a SKU while nothing else is under way, after its holds were read: counts as they must be. */
  checkBooks(entry: Entry): void {
    const sku = this.sku(entry.args[0] as string);
    keep(sku.log, entry);
    const answer = entry.answer;
    if (answer === null || answer === undefined) return;
    if (answer[0] !== Status.OK) {
      this.hearing.violate('I2', `${sku.name} is ${statusName(answer[0] as number)}`, sku.log);
      return;
    }
    this.checkStock(sku, answer);
    this.checkUnits(sku, entry);
  }

  /** READ of a SKU once every deadline and a grace have passed. */
  checkReturned(entry: Entry): void {
    const answer = entry.answer;
    if (answer?.[0] !== Status.OK) return;
    const [, available, held, sold, total] = answer as number[];
    const sku = this.sku(entry.args[0] as string);
    if (held === 0 && available === total - sold) return;
    const what = `${sku.name}: ${available} available, ${held} held, ${sold} sold of ${total} when every deadline had passed`;
    this.hearing.violate('I3', what, [...sku.log, entry]);
  }

  private checkStock(sku: SkuRecord, answer: Answer): void {
    const [, , , , total, maxPerHold, maxPerHolder, maxTtlMs] = answer as number[];
    const read = { total, maxPerHold, maxPerHolder, maxTtlMs };
    const [before] = sku.stocks as [PossibleStock];
    const found = sku.stocks.some((stock) => isEqual(stock, read));
    if (!found) {
      this.hearing.violate(
        'I2',
        `${sku.name} has ${JSON.stringify(read)}, and was given ${sku.stocks.map((stock) => JSON.stringify(stock)).join(' or ')}`,
        sku.log,
      );
    } else if (sku.unknown > 0) {
      // One STOCK at a time is sent, and the books are looked at before the next one.
      this.hearing.tally.notHappened += isEqual(before, read) ? sku.unknown : 0;
      this.hearing.tally.happened += isEqual(before, read) ? 0 : sku.unknown;
    }
    sku.unknown = 0;
    sku.stocks = [read];
  }

  private checkUnits(sku: SkuRecord, entry: Entry): void {
    const [, , held, sold] = entry.answer as number[];
    const { to: now } = this.hearing.when(entry);
    let least = sku.soldBefore;
    let most = sku.soldBefore;
    let open = 0;
    const byHolder = new Map<string, number>();
    for (const hold of sku.holds) {
      if (hold.confused) return;
      const units = hold.states.map((one) => one.sold);
      least += Math.min(...units);
      most += Math.max(...units);
      const surelyOpen = hold.states.every(({ state, ends }) => state === HoldState.HELD && ends.from > now);
      const unitsOpen = surelyOpen ? Math.min(...hold.states.map((one) => one.units)) : 0;
      open += unitsOpen;
      byHolder.set(hold.holder, (byHolder.get(hold.holder) ?? 0) + unitsOpen + Math.min(...units));
    }
    const logs = [...sku.log, ...[...sku.holds].slice(-3).flatMap((hold) => hold.log)];
    if (sold < least)
      this.hearing.violate('I2', `${sku.name}: ${sold} sold, and clients were told of ${least}`, logs);
    if (sold > most)
      this.hearing.violate('I1', `${sku.name}: ${sold} sold, and clients asked for ${most} at most`, logs);
    if (sold < least || sold > most) sku.soldBefore += sold < least ? sold - least : sold - most;
    if (held < open)
      this.hearing.violate('I2', `${sku.name}: ${held} held, and clients were told of ${open}`, logs);
    for (const [holder, units] of byHolder) {
      if (sku.holderLimit === 0 || units <= sku.holderLimit) continue;
      this.hearing.violate(
        'I1',
        `${sku.name}: ${holder} has ${units} units, and may have ${sku.holderLimit}`,
        logs,
      );
    }
  }
}

function isEqual(one: PossibleStock, other: PossibleStock): boolean {
  return Object.entries(one).every(([name, value]) => other[name as keyof PossibleStock] === value);
}
