import { Op } from '../../protocol/ops.ts';
import { HoldfastError } from './errors.ts';
import {
  confirmRequest,
  extendRequest,
  type HoldStateText,
  type Request,
  reduceRequest,
} from './requests.ts';
import type { Session } from './session.ts';

/** A deadline on both clocks, in ms since the epoch. */
export interface Deadline {
  /** Comparable with Date.now(), however wrong the local clock is. */
  readonly expiresAt: number;
  /** By the server's clock. */
  readonly serverExpiresAt: number;
}

/**
 * Units of one SKU that are set aside until a deadline. What it says of itself is what this client knows from
 * the answers it had; the server decides.
 *
 * Commands on one hold go one after the other, so that each builds on the outcome of the one before.
 */
export class Hold implements Deadline {
  readonly id: number;
  readonly sku: string;
  readonly #session: Session;
  #state: HoldStateText = 'held';
  #quantity: number;
  #serverExpiresAt: number;
  #underWay = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    session: Session,
    {
      id,
      sku,
      quantity,
      serverExpiresAt,
    }: { id: number; sku: string; quantity: number; serverExpiresAt: number },
  ) {
    this.#session = session;
    this.id = id;
    this.sku = sku;
    this.#quantity = quantity;
    this.#serverExpiresAt = serverExpiresAt;
  }

  /** As of the last answer. A hold whose deadline has passed stays 'held' here until an answer says more. */
  get state(): HoldStateText {
    return this.#state;
  }

  /** Units held or, once confirmed, sold and not returned; 0 once released or expired. */
  get quantity(): number {
    return this.#quantity;
  }

  get expiresAt(): number {
    return this.#session.clock.toLocal(this.#serverExpiresAt);
  }

  get serverExpiresAt(): number {
    return this.#serverExpiresAt;
  }

  /** Sells all units, or `quantity` of them and gives the rest back. Resolves to the units sold. */
  confirm(quantity?: number): Promise<number> {
    return this.#run(
      () => confirmRequest(this.id, quantity),
      (sold) => this.#sell(sold),
    );
  }

  /** Gives all units back, or `quantity` of them. Resolves to the units that stay held. */
  release(quantity?: number): Promise<number> {
    return this.#run(
      () => this.#reduce(Op.RELEASE, quantity),
      (left) => this.#become(left === 0 ? 'released' : 'held', left),
    );
  }

  /** Moves the deadline to `ttl` ms from now; never to an earlier time than it has. */
  extend(ttl: number): Promise<Deadline> {
    return this.#run(
      () => extendRequest(this.id, ttl),
      (serverExpiresAt) => {
        this.#serverExpiresAt = serverExpiresAt;
      },
    ).then((serverExpiresAt) => ({
      expiresAt: this.#session.clock.toLocal(serverExpiresAt),
      serverExpiresAt,
    }));
  }

  /** Takes all units that were sold back into stock, or `quantity` of them. Resolves to the units that stay sold. */
  returnStock(quantity?: number): Promise<number> {
    return this.#run(
      () => this.#reduce(Op.RETURN, quantity),
      (left) => this.#become('confirmed', left),
    );
  }

  /** A part goes with the quantity that it is a part of: then it can be sent again without being taken twice. */
  #reduce(op: number, quantity: number | undefined): Request<number> {
    const of = quantity !== undefined && this.#quantity > 0 ? this.#quantity : undefined;
    return reduceRequest(op, this.id, quantity, of);
  }

  /** The answer to a repeated CONFIRM counts what was sold then, also where some came back since. */
  #sell(sold: number): void {
    if (this.#state !== 'confirmed') this.#become('confirmed', sold);
  }

  #become(state: HoldStateText, quantity: number): void {
    this.#state = state;
    this.#quantity = quantity;
  }

  #run<T>(make: () => Request<T>, apply: (value: T) => void): Promise<T> {
    const ended = Promise.withResolvers<void>();
    const step = async () => {
      try {
        const value = await this.#session.commander.issue(make());
        apply(value);
        return value;
      } catch (error) {
        this.#learn(error);
        throw error;
      } finally {
        this.#underWay--;
        ended.resolve();
      }
    };
    // Nothing under way: in the same turn as the call, so that it leaves with the frame of this turn.
    const outcome = this.#underWay++ === 0 ? step() : this.#last.then(step);
    this.#last = ended.promise;
    return outcome;
  }

  /** A refusal tells how things stand too. */
  #learn(error: unknown): void {
    if (!(error instanceof HoldfastError)) return;
    const { code, details } = error;
    if (code === 'CONFIRMED') this.#sell(details.sold ?? this.#quantity);
    else if (code === 'RELEASED') this.#become('released', 0);
    else if (code === 'EXPIRED') this.#become('expired', 0);
    else if (code === 'CHANGED' || code === 'EXCEEDS_HOLD')
      this.#quantity = details.quantity ?? this.#quantity;
  }
}
