import { Op } from '../../protocol/ops.ts';
import type { Argument, Hello } from './codec.ts';
import { HoldfastError } from './errors.ts';
import { type Deadline, Hold } from './hold.ts';
import type { State } from './link.ts';
import { type ConnectOptions, readOptions } from './options.ts';
import {
  confirmRequest,
  extendRequest,
  type HoldReading,
  holdRequest,
  type Request,
  readHoldRequest,
  readRequest,
  reduceRequest,
  type StockLevels,
  type StockOptions,
  stockRequest,
  timeRequest,
} from './requests.ts';
import { Session, type StateListener } from './session.ts';

/**
 * Connects to a Holdfast server, and resolves when it has said hello. Where that does not come about, rejects at
 * once with CLOSED, PROTOCOL or ABORTED; only a connection that was there once is made again when it breaks.
 *
 * @param url the address of the server's WebSocket, such as ws://127.0.0.1:7070/v1/ws
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Client> {
  const { signal } = options;
  const settings = readOptions(url, options);
  const aborted = () =>
    new HoldfastError('ABORTED', 'Connecting was aborted.', { sent: false }, signal?.reason);
  if (signal?.aborted) throw aborted();
  const session = new Session(settings);
  const abort = () => void session.close(aborted());
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await session.opened;
    return new Client(session);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

export interface HoldOptions {
  readonly sku: string;
  /** Units, 1 to 2^31 - 1. Default 1. */
  readonly quantity?: number;
  /** Time to live in ms: how long the units are set aside, up to a day. */
  readonly ttl: number;
  /**
   * Idempotency key of 1 to 64 bytes, within holder and SKU. The same request under the same key gets the same
   * answer, also in another process or after a TIMEOUT; and even when the hold has changed or ended since, which
   * readHold() tells. Default: 16 random bytes for each call.
   */
  readonly key?: string | Uint8Array;
  /** Takes the hold back: before it is sent by not sending it, later by releasing it as soon as it is answered. */
  readonly signal?: AbortSignal;
}

export interface SkuReading extends StockLevels {
  /** 0 for no limit, as in the next two. */
  readonly maxPerHold: number;
  readonly maxPerHolder: number;
  /** In ms. */
  readonly maxTtl: number;
  /** When the earliest open hold ends, on the local and on the server's clock; left out when there is none. */
  readonly earliestEnd?: number;
  readonly serverEarliestEnd?: number;
}

export interface HoldInfo extends HoldReading {
  /** serverEndsAt on the local clock. */
  readonly endsAt: number;
}

/**
 * A connection to a server, kept up. Methods may be called at any time, any number at once; those called in one
 * turn leave in one frame. Each returns a promise that rejects with a HoldfastError.
 *
 * After TIMEOUT the outcome is unknown unless `details.sent` is false. A hold() with a key of the caller can be
 * called again with that key to learn it. One without leaves nothing behind: if its success comes late, the hold
 * is released at once, and likewise one that was aborted.
 */
export class Client {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  get state(): State {
    return this.#session.state;
  }

  /** What the server said of itself on the present connection, or on the last one. */
  get hello(): Hello | undefined {
    return this.#session.hello;
  }

  /** The holder that this client acts for, as its token says; undefined where it brings none. */
  get holder(): string | undefined {
    return this.#session.holder;
  }

  /** Sets units aside. Rejects with SOLD_OUT, HELD_OUT (`details.retryAt`) and others. */
  async hold({ sku, quantity = 1, ttl, key, signal }: HoldOptions): Promise<Hold> {
    const request = holdRequest(sku, quantity, ttl, key);
    if (key !== undefined)
      this.#session.commander.reclaim((other) => other.op === Op.HOLD && sameKey(request, other));
    const { holdId: id, serverExpiresAt } = await this.#session.commander.issue(request, signal);
    return new Hold(this.#session, { id, sku, quantity, serverExpiresAt });
  }

  /** Hold.confirm() by id. */
  async confirm(holdId: number, quantity?: number): Promise<number> {
    return this.#session.commander.issue(confirmRequest(holdId, quantity));
  }

  /**
   * Hold.release() by id.
   *
   * @param of units the hold is believed to have. A part (`quantity`) without it is not sent again after a lost
   *   connection, but rejects with UNKNOWN_OUTCOME.
   */
  async release(holdId: number, quantity?: number, of?: number): Promise<number> {
    return this.#session.commander.issue(reduceRequest(Op.RELEASE, holdId, quantity, of));
  }

  /** Hold.extend() by id. */
  async extend(holdId: number, ttl: number): Promise<Deadline> {
    const serverExpiresAt = await this.#session.commander.issue(extendRequest(holdId, ttl));
    return { expiresAt: this.#session.clock.toLocal(serverExpiresAt), serverExpiresAt };
  }

  /** Hold.returnStock() by id, with `of` as in release(). */
  async returnStock(holdId: number, quantity?: number, of?: number): Promise<number> {
    return this.#session.commander.issue(reduceRequest(Op.RETURN, holdId, quantity, of));
  }

  /**
   * Creates a SKU, or changes its total or its settings. A `delta` other than 0 is not sent again after a lost
   * connection, but rejects with UNKNOWN_OUTCOME.
   */
  async stock(options: StockOptions): Promise<StockLevels> {
    return this.#session.commander.issue(stockRequest(options));
  }

  async read(sku: string): Promise<SkuReading> {
    const { serverEarliestEnd, ...rest } = await this.#session.commander.issue(readRequest(sku));
    if (serverEarliestEnd === 0) return rest;
    return { ...rest, earliestEnd: this.#session.clock.toLocal(serverEarliestEnd), serverEarliestEnd };
  }

  async readHold(holdId: number): Promise<HoldInfo> {
    const reading = await this.#session.commander.issue(readHoldRequest(holdId));
    return { ...reading, endsAt: this.#session.clock.toLocal(reading.serverEndsAt) };
  }

  /** Asks for the server's time, in ms since the epoch; the answer also sharpens serverNow(). */
  async time(): Promise<number> {
    return this.#session.commander.issue(timeRequest());
  }

  /** The server's time now as well as it is known here, in ms since the epoch. */
  serverNow(): number {
    return this.#session.clock.now();
  }

  /**
   * Calls the listener at every change of state, with the error that led to it if there was one. Returns a
   * function that ends that.
   */
  onStateChange(listener: StateListener): () => void {
    return this.#session.listen(listener);
  }

  /**
   * Sends what was called in this turn, then closes for good. What has no answer rejects with CLOSED; holds stay
   * until their deadline. Resolves when the socket is closed.
   */
  close(): Promise<void> {
    return this.#session.close(
      new HoldfastError('CLOSED', 'This client was closed by close(): connect again to go on.'),
    );
  }
}

/** Whether two HOLD commands have the same SKU and key. */
function sameKey(
  { args: [sku, , , key] }: Request<unknown>,
  { args: [otherSku, , , otherKey] }: Request<unknown>,
): boolean {
  return sku === otherSku && keyText(key) === keyText(otherKey);
}

/** The bytes of a key as text; a key given as text stands for its UTF-8. */
function keyText(key: Argument | undefined): string {
  return (typeof key === 'string' ? new TextEncoder().encode(key) : (key as Uint8Array)).join();
}
