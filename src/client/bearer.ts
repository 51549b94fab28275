import { MAX_REQUEST_ID, MAX_TOKEN_BYTES } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { checkText } from './arguments.ts';
import { type Backoff, backoffMs } from './backoff.ts';
import { encodeCommand } from './codec.ts';
import { HoldfastError } from './errors.ts';
import { refusal } from './refusal.ts';
import type { Request } from './requests.ts';

/** A token, or a function that fetches one: for each connection, and before the last one expires. */
export type TokenSource = string | (() => string | Promise<string>);

export interface BearerEvents {
  send(frame: Uint8Array<ArrayBuffer>): void;
  /** The first token of the connection does: the server knows this client by that name. */
  granted(holder: string): void;
  /** No token could be had this time. */
  failed(error: HoldfastError): void;
  /** The server does not take the token, and to bring it again would end the same way. */
  refused(error: HoldfastError): void;
}

/** AUTH has the one request id that no other command gets to. */
export const AUTH_ID = MAX_REQUEST_ID;
/** A token is renewed when this share of its time is over: the clients of one server at different times. */
const RENEW_AFTER = { share: 0.75, spread: 0.15 };
/** Not sooner than this, for a token that has next to no time left. */
const MIN_WAIT_MS = 1000;
/** Largest delay that setTimeout takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Waits for a server that cannot look at the token now, beyond what it asks for. */
const BUSY: Backoff = { initialMs: 100, maxMs: 1000 };

const REQUEST: Request<{ holder: string; expiresAt: number }> = {
  op: Op.AUTH,
  args: [],
  what: 'AUTH',
  read: ([holder, expiresAt]) =>
    typeof holder === 'string' && typeof expiresAt === 'number' ? { holder, expiresAt } : undefined,
  repeatable: true,
};

/** Brings the token for one connection, and newer ones in time. */
export class Bearer {
  readonly #source: TokenSource;
  readonly #events: BearerEvents;
  /** The server's time, in ms since the epoch. */
  readonly #serverNow: () => number;
  #granted = false;
  #stopped = false;
  #busyCount = 0;
  /** Server time at which the token that was taken last expires; 0 when it does not matter. */
  #expiresAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(source: TokenSource, events: BearerEvents, serverNow: () => number) {
    this.#source = source;
    this.#events = events;
    this.#serverNow = serverNow;
  }

  /** Fetches a token and sends it. */
  async bring(): Promise<void> {
    let token: string;
    try {
      const source = this.#source;
      token = checkText('token', typeof source === 'string' ? source : await source(), MAX_TOKEN_BYTES);
    } catch (error) {
      this.#miss(error);
      return;
    }
    if (!this.#stopped) this.#events.send(new Uint8Array(encodeCommand(Op.AUTH, AUTH_ID, [token])));
  }

  /** The answer to AUTH. */
  reply(status: number, results: readonly unknown[]): void {
    if (status === Status.OK) {
      const value = REQUEST.read(results);
      if (value !== undefined) this.#take(value.holder, value.expiresAt);
      return;
    }
    const error = refusal(REQUEST, status, results, (timeMs) => timeMs);
    const { retryAfterMs = 0, reason } = error.details;
    if (retryAfterMs > 0 || reason === 'KEYS_UNAVAILABLE') {
      this.#again(retryAfterMs + backoffMs(this.#busyCount++, BUSY));
    } else if (!this.#granted || error.code === 'FORBIDDEN') {
      this.#events.refused(explained(error));
    } else {
      // The session goes on until its token expires; a better one may come by then.
      this.#renewLater();
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #take(holder: string, expiresAt: number): void {
    const first = !this.#granted;
    this.#granted = true;
    this.#expiresAt = expiresAt;
    this.#busyCount = 0;
    if (typeof this.#source === 'function' && expiresAt > 0) {
      const { share, spread } = RENEW_AFTER;
      this.#again((expiresAt - this.#serverNow()) * (share + spread * Math.random()));
    }
    if (first) this.#events.granted(holder);
  }

  #miss(cause: unknown): void {
    if (this.#stopped) return;
    if (this.#granted) {
      this.#renewLater();
      return;
    }
    const why = cause instanceof Error ? cause.message : String(cause);
    const text = `No token could be had: ${why}`;
    this.#events.failed(
      new HoldfastError('UNAUTHENTICATED', text, { reason: 'MISSING', sent: false }, cause),
    );
  }

  /** Half of the time that is left, so that a function that fails for a while is asked a few times more. */
  #renewLater(): void {
    this.#again((this.#expiresAt - this.#serverNow()) / 2);
  }

  #again(waitMs: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const bounded = this.#granted ? Math.max(waitMs, MIN_WAIT_MS) : waitMs;
    this.#timer = setTimeout(() => void this.bring(), Math.min(bounded, MAX_TIMER_MS));
  }
}

function explained(error: HoldfastError): HoldfastError {
  if (error.code !== 'FORBIDDEN') return error;
  return new HoldfastError(
    'FORBIDDEN',
    'The new token is of another holder than this connection: connect anew to act for that one.',
    error.details,
  );
}
