import { MAX_FRAME_BYTES, MAX_TRACEPARENT_BYTES } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { backoffMs } from './backoff.ts';
import { encodeCommand, encodeTrace, type Hello, joinFrames, type Message } from './codec.ts';
import type { Connection, Ending } from './connection.ts';
import { HoldfastError } from './errors.ts';
import { type Flight, mayHaveHappened, Place, timeoutDetails, timeoutText } from './flight.ts';
import type { Settings } from './options.ts';
import { refusal } from './refusal.ts';
import { type Request, timeRequest } from './requests.ts';
import { monotonicMs, type ServerClock } from './server-clock.ts';

/** Longest wait beyond what the server asked for. */
const MAX_REST_MS = 1_000;

type CommandSettings = Pick<Settings, 'timeoutMs' | 'retryBusy' | 'traceparent'>;

/**
 * Carries commands through time-outs and lost connections to their answers.
 *
 * A command keeps its bytes, and with them its request id and its key, for as long as it lives. Commands issued
 * in one turn leave together in a microtask behind it. When a connection is lost, those without an answer are
 * queued again in their order, except those that might be applied twice.
 *
 * A caller that has given up leaves a command behind ("abandoned") if its success would need undoing.
 */
export class Commander {
  readonly #clock: ServerClock;
  readonly #timeoutMs: number;
  readonly #retryBusy: boolean;
  readonly #traceparent: Settings['traceparent'];
  /** Commands whose callers wait, oldest first: all have the same time-out, so this is the order of deadlines. */
  readonly #flights = new Map<number, Flight>();
  readonly #abandoned = new Map<number, Flight>();
  #queue: Flight[] = [];
  #nextId = 1;
  #flushing = false;
  #sweepTimer: ReturnType<typeof setTimeout> | undefined;
  #connection: Connection | undefined;
  #maxFrameBytes = MAX_FRAME_BYTES;
  #closedBy: HoldfastError | undefined;

  constructor(clock: ServerClock, { timeoutMs, retryBusy, traceparent }: CommandSettings) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#retryBusy = retryBusy;
    this.#traceparent = traceparent;
  }

  /** Sends a command with those of the same turn. The promise rejects with a HoldfastError. */
  issue<T>(request: Request<T>, signal?: AbortSignal): Promise<T> {
    if (this.#closedBy !== undefined) return Promise.reject(closedError(request, this.#closedBy, false));
    if (signal?.aborted) return Promise.reject(abortError(request, signal, false));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const flight = this.#create(request, resolve, reject);
    this.#flights.set(flight.id, flight as Flight);
    this.#queue.push(flight as Flight);
    this.#flushSoon();
    this.#sweepTimer ??= setTimeout(this.#sweep, this.#timeoutMs);
    if (signal === undefined) return promise;
    const abort = () =>
      this.#giveUp(flight as Flight, abortError(request, signal, mayHaveHappened(flight as Flight)), true);
    signal.addEventListener('abort', abort, { once: true });
    return promise.finally(() => signal.removeEventListener('abort', abort));
  }

  /** Lets go of abandoned commands that match: somebody wants their outcome again. */
  reclaim(matches: (request: Request<unknown>) => boolean): void {
    for (const flight of this.#abandoned.values()) {
      if (matches(flight.request)) this.#abandoned.delete(flight.id);
    }
  }

  /** A connection is there: what waits leaves at once. */
  open(connection: Connection, { limits, serverTimeMs }: Hello): void {
    this.#connection = connection;
    this.#maxFrameBytes = limits.maxFrameBytes ?? MAX_FRAME_BYTES;
    this.#clock.greet(serverTimeMs, connection.startedAt, connection.helloAt);
    this.flush();
  }

  /** The connection is gone, and there will be another one. */
  cut(ending: Ending): void {
    this.#connection = undefined;
    const again: Flight[] = [];
    for (const flight of [...this.#flights.values(), ...this.#abandoned.values()]) {
      if (flight.place !== Place.SENT) continue;
      if (!flight.request.repeatable) this.#settle(flight, () => flight.reject(unknownError(flight, ending)));
      else if (flight.settled && monotonicMs() >= flight.deadlineAt) this.#abandoned.delete(flight.id);
      else {
        flight.uncertain = true;
        flight.place = Place.QUEUED;
        again.push(flight);
      }
    }
    this.#queue = [...again, ...this.#queue];
  }

  /** There will be no connection any more: every command is rejected, as are later ones. */
  close(error: HoldfastError): void {
    this.#closedBy = error;
    this.#connection = undefined;
    clearTimeout(this.#sweepTimer);
    for (const flight of this.#abandoned.values()) clearTimeout(flight.restTimer);
    for (const flight of [...this.#flights.values()]) {
      clearTimeout(flight.restTimer);
      this.#settle(flight, () => flight.reject(closedError(flight.request, error, mayHaveHappened(flight))));
    }
    this.#abandoned.clear();
    this.#queue = [];
  }

  /** Sends what is queued now. */
  flush(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    // Taken with the next frame rather than by a timer, so that an idle client is idle.
    if (this.#clock.takeTurn()) {
      const asking = this.#create(timeRequest(), ignore, ignore) as Flight;
      this.#flights.set(asking.id, asking);
      this.#sweepTimer ??= setTimeout(this.#sweep, this.#timeoutMs);
      this.#queue.unshift(asking);
    }
    const leaving = this.#queue.filter(({ id }) => this.#flights.has(id) || this.#abandoned.has(id));
    this.#queue = [];
    const now = monotonicMs();
    for (const flight of leaving) {
      flight.place = Place.SENT;
      flight.sentAt = now;
    }
    const frames = joinFrames(
      leaving.map(({ bytes }) => bytes),
      this.#maxFrameBytes,
    );
    for (const frame of frames) connection.send(frame);
  }

  reply({ requestId, status, results }: Extract<Message, { kind: 'reply' }>): void {
    const flight = this.#flights.get(requestId) ?? this.#abandoned.get(requestId);
    // Nobody waits for the answer to a command that timed out and needs no undoing.
    if (flight === undefined) return;
    const retryAfterMs = Number(results[0]);
    if (asksLater(status, retryAfterMs) && this.#rest(flight, retryAfterMs)) return;
    if (status === Status.OK) this.#succeed(flight, results);
    else this.#refuse(flight, status, results);
  }

  #refuse(flight: Flight, status: number, results: readonly unknown[]): void {
    this.#settle(flight, () => {
      flight.reject(refusal(flight.request, status, results, (timeMs) => this.#clock.toLocal(timeMs)));
    });
  }

  #create<T>(request: Request<T>, resolve: (value: T) => void, reject: (error: unknown) => void): Flight<T> {
    const id = this.#nextId++;
    return {
      id,
      request,
      bytes: this.#encode(request, id),
      deadlineAt: monotonicMs() + this.#timeoutMs,
      place: Place.QUEUED,
      sentAt: 0,
      uncertain: false,
      busyCount: 0,
      restTimer: undefined,
      settled: false,
      resolve,
      reject,
    };
  }

  /** The command, and before it what trace it belongs to: the two stay together, also when it is sent again. */
  #encode({ op, args }: Request<unknown>, id: number): Uint8Array {
    const command = encodeCommand(op, id, args);
    // The SDK asks for the time on its own.
    const trace = op === Op.TIME ? undefined : this.#trace();
    if (trace === undefined) return command;
    const bytes = new Uint8Array(trace.length + command.length);
    bytes.set(trace);
    bytes.set(command, trace.length);
    return bytes;
  }

  #trace(): Uint8Array | undefined {
    try {
      const traceparent = this.#traceparent?.();
      if (typeof traceparent === 'string' && traceparent.length <= MAX_TRACEPARENT_BYTES)
        return encodeTrace(traceparent);
    } catch {
      // A trace is no reason for a command to fail.
    }
    return undefined;
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  #succeed(flight: Flight, results: readonly unknown[]): void {
    const { request } = flight;
    const value = request.read(results);
    if (value === undefined) {
      this.#connection?.fail(`its answer to ${request.what} has other results than it should`);
      return;
    }
    if (request.op === Op.TIME) this.#clock.sample(value as number, flight.sentAt, monotonicMs());
    const { settled } = flight;
    this.#settle(flight, () => flight.resolve(value));
    if (settled && request.late !== undefined) this.issue(request.late.undo(value)).catch(ignore);
  }

  /** Puts a command aside that the server asks to send later; false when its deadline leaves no time for it. */
  #rest(flight: Flight, retryAfterMs: number): boolean {
    if (!this.#retryBusy) return false;
    // Nothing happened, and nobody wants it to happen any more.
    if (flight.settled && !flight.uncertain) return false;
    // Not before the server asked for, and spread behind it ever wider.
    const bounds = { initialMs: Math.max(1, retryAfterMs), maxMs: MAX_REST_MS };
    const waitMs = retryAfterMs + backoffMs(flight.busyCount, bounds);
    if (monotonicMs() + waitMs >= flight.deadlineAt) return false;
    flight.busyCount++;
    flight.place = Place.RESTING;
    flight.restTimer = setTimeout(() => {
      flight.place = Place.QUEUED;
      this.#queue.push(flight);
      this.#flushSoon();
    }, waitMs);
    return true;
  }

  /** Ends a command for whoever waits for it, and forgets it. */
  #settle(flight: Flight, tell: () => void): void {
    this.#flights.delete(flight.id);
    this.#abandoned.delete(flight.id);
    if (flight.settled) return;
    flight.settled = true;
    tell();
  }

  /** Tells the caller that it gets no answer; the command stays behind if its success would need undoing. */
  #giveUp(flight: Flight, error: HoldfastError, undo: boolean): void {
    if (flight.settled) return;
    const { late } = flight.request;
    const abandoned = undo && late !== undefined && mayHaveHappened(flight);
    this.#settle(flight, () => flight.reject(error));
    if (abandoned) {
      flight.deadlineAt = monotonicMs() + late.worthMs;
      this.#abandoned.set(flight.id, flight);
    } else {
      clearTimeout(flight.restTimer);
    }
  }

  /** Rejects what is past its deadline, and drops a connection that has gone silent. */
  readonly #sweep = (): void => {
    this.#sweepTimer = undefined;
    const now = monotonicMs();
    let silent = false;
    for (const flight of this.#flights.values()) {
      if (flight.deadlineAt > now) {
        this.#sweepTimer = setTimeout(this.#sweep, flight.deadlineAt - now);
        break;
      }
      // Of those that were sent again just now nothing can be told yet.
      const old = flight.place === Place.SENT && now - flight.sentAt >= this.#timeoutMs / 2;
      silent ||= old && (this.#connection?.receivedAt ?? now) <= flight.sentAt;
      const error = new HoldfastError(
        'TIMEOUT',
        timeoutText(flight, this.#timeoutMs),
        timeoutDetails(flight, this.#timeoutMs),
      );
      this.#giveUp(flight, error, flight.request.late?.afterTimeout ?? false);
    }
    // Not a byte since a command left: the other side is gone without a word, as when a network is changed.
    if (silent) this.#connection?.drop({ text: `was silent for ${this.#timeoutMs} ms` });
  };
}

/** Whether a refusal says when to try again. Of something that is out of service, 0 says that waiting does not help. */
function asksLater(status: number, retryAfterMs: number): boolean {
  if (status === Status.UNAVAILABLE) return retryAfterMs > 0;
  return (status === Status.BUSY || status === Status.RATE_LIMITED) && retryAfterMs >= 0;
}

function ignore(): void {}

function abortError(request: Request<unknown>, signal: AbortSignal, sent: boolean): HoldfastError {
  const text = sent
    ? 'was aborted on its way. Should it succeed, the hold is released at once.'
    : 'was aborted before it was sent. Nothing happened.';
  return new HoldfastError('ABORTED', `${request.what} ${text}`, { sent }, signal.reason);
}

function closedError(request: Request<unknown>, by: HoldfastError, sent: boolean): HoldfastError {
  const text = sent ? 'was not answered, and whether it happened is unknown' : 'was not sent';
  return new HoldfastError(by.code, `${request.what} ${text}. ${by.message}`, { ...by.details, sent }, by);
}

function unknownError({ request }: Flight, { text, closeCode, closeReason }: Ending): HoldfastError {
  const message = `The connection ${text} before ${request.what} was answered. Whether it happened is unknown, and it was not sent again as that could apply it twice: read first, then decide.`;
  return new HoldfastError('UNKNOWN_OUTCOME', message, {
    sent: true,
    ...(closeCode === undefined ? {} : { closeCode }),
    ...(closeReason === undefined ? {} : { closeReason }),
  });
}
