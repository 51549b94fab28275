import { Status } from '../../protocol/status.ts';
import type { Hearing } from './hearing.ts';
import type { HoldBook } from './hold-book.ts';
import type { Answer } from './hold-states.ts';
import {
  answerInWords,
  type Entry,
  type HoldRecord,
  isNotTaken,
  type KeyRecord,
  keep,
  keyName,
  type SkuRecord,
} from './records.ts';

/** HOLD and its idempotency keys: I4. */
export class KeyBook {
  readonly keys = new Map<string, KeyRecord>();
  private readonly hearing: Hearing;
  private readonly holds: HoldBook;

  constructor(hearing: Hearing, holds: HoldBook) {
    this.hearing = hearing;
    this.holds = holds;
  }

  /** A HOLD leaves. The first body that a key is sent with is the one that it stands for. */
  sent(entry: Entry, sku: SkuRecord): void {
    const [, quantity, ttlMs, key] = entry.args as [string, number, number, string | undefined];
    if (key === undefined) return;
    const { holder } = entry;
    const name = keyName(holder, sku.name, key);
    if (this.keys.has(name)) return;
    const askedAt = this.hearing.at(entry.sentMs).from;
    const body = { holder, sku, key, quantity, ttlMs, askedAt };
    this.keys.set(name, { ...body, hold: undefined, deadline: 0, unknown: 0, endAskedAt: Infinity });
  }

  /** A HOLD was answered, or given up. Returns the hold that it made known. */
  resolved(entry: Entry, sku: SkuRecord): HoldRecord | undefined {
    const [, quantity, ttlMs, text] = entry.args as [string, number, number, string | undefined];
    if (text !== undefined) {
      const key = this.keys.get(keyName(entry.holder, sku.name, text));
      return key && this.withKey(key, entry, quantity === key.quantity && ttlMs === key.ttlMs);
    }
    const answer = entry.answer as Answer | null;
    if (answer === null || answer[0] === Status.UNKNOWN_OUTCOME) {
      // Nobody will ever learn its id: it may be held until its deadline, and cannot be sold.
      this.hearing.tally.unknown++;
      this.hearing.tally.undecided++;
      return undefined;
    }
    return answer[0] === Status.OK
      ? this.holds.place(entry, sku, undefined, this.hearing.when(entry))
      : undefined;
  }

  /** Nobody will send a HOLD again whose answer is missing. */
  abandon(key: KeyRecord): void {
    this.hearing.tally.undecided += key.unknown;
    this.keys.delete(keyName(key.holder, key.sku.name, key.key));
  }

  /** Forgets the keys that the server may forget. */
  retire(nowMs: number): void {
    for (const [name, key] of this.keys) {
      if (key.unknown === 0 && !this.remembers(key, nowMs)) this.keys.delete(name);
    }
  }

  /** Whether the server has to know a key now. */
  remembers(key: KeyRecord, nowMs: number): boolean {
    return this.hearing.at(nowMs).to < this.keptUntil(key);
  }

  private keptUntil(key: KeyRecord): number {
    const ended = Math.min(key.endAskedAt, key.hold === undefined ? key.askedAt : key.deadline);
    return ended + this.hearing.options.keyRetentionMs;
  }

  private withKey(key: KeyRecord, entry: Entry, sameBody: boolean): HoldRecord | undefined {
    const { tally } = this.hearing;
    const answer = entry.answer as Answer | null;
    const status = answer?.[0] as number | undefined;
    if (answer === null || status === Status.UNKNOWN_OUTCOME) {
      tally.unknown++;
      if (key.hold === undefined && sameBody) key.unknown++;
      else tally.undecided++;
      return undefined;
    }
    if (isNotTaken(status as number)) return undefined;
    if (key.hold !== undefined) this.again(key, key.hold, entry, sameBody);
    else if (sameBody) key.hold = this.first(key, entry);
    return key.hold?.log[0] === entry ? key.hold : undefined;
  }

  /** The first certain answer to a HOLD with this key; others may have been carried out before and not answered. */
  private first(key: KeyRecord, entry: Entry): HoldRecord | undefined {
    const { tally } = this.hearing;
    const [status, , deadline] = entry.answer as [number, number, number];
    const when = this.hearing.when(entry);
    if (status === Status.KEY_CONFLICT) {
      const what = `key ${key.key} of ${key.holder} was sent with one body only, and got ${answerInWords(entry.answer as Answer)}`;
      this.hearing.violate('I4', what, [entry]);
      return undefined;
    }
    if (key.unknown > 0) {
      const happened =
        status === Status.OK && deadline - key.ttlMs < Math.floor(this.hearing.time.at(entry.sentMs)) ? 1 : 0;
      tally.happened += happened;
      tally.notHappened += key.unknown - happened;
      key.unknown = 0;
    }
    if (status !== Status.OK) return undefined;
    key.deadline = deadline;
    return this.holds.place(entry, key.sku, key, { from: Math.min(key.askedAt, when.from), to: when.to });
  }

  /** The hold of this key is known. */
  private again(key: KeyRecord, hold: HoldRecord, entry: Entry, sameBody: boolean): void {
    keep(hold.log, entry);
    if (this.hearing.when(entry).to >= this.keptUntil(key)) return;
    const [status, id, deadline] = entry.answer as [number, number, number];
    const right = sameBody
      ? status === Status.OK && id === hold.id && deadline === key.deadline
      : status === Status.KEY_CONFLICT && id === hold.id;
    if (right) return;
    const stands = `key ${key.key} of ${key.holder} stands for hold ${hold.id} of ${key.sku.name} until ${key.deadline}`;
    const body = sameBody ? 'the same body' : 'another body';
    this.hearing.violate('I4', `${stands}; ${body} got ${answerInWords(entry.answer as Answer)}`, hold.log);
  }
}
