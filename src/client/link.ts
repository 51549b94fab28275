import { backoffMs } from './backoff.ts';
import type { Hello, Message } from './codec.ts';
import { Connection, type Ending } from './connection.ts';
import { HoldfastError } from './errors.ts';
import type { Settings } from './options.ts';
import { monotonicMs } from './server-clock.ts';

export type State = 'connecting' | 'open' | 'closed';

export interface LinkEvents {
  /** A connection is there: commands may be sent. */
  open(connection: Connection, hello: Hello): void;
  reply(reply: Extract<Message, { kind: 'reply' }>): void;
  /** The connection is gone and another one will be tried. */
  cut(ending: Ending): void;
  /** There will be no connection any more. Comes once. */
  closed(error: HoldfastError): void;
  state(state: State, error: HoldfastError | undefined): void;
}

/** Keeps one connection up: makes the next one when it breaks, after a wait. */
export class Link {
  state: State = 'connecting';
  connection: Connection | undefined;

  readonly #settings: Settings;
  readonly #events: LinkEvents;
  /** Attempts in a row that came to nothing. */
  #failures = 0;
  #opened = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: Settings, events: LinkEvents) {
    this.#settings = settings;
    this.#events = events;
  }

  /**
   * Makes a connection. The first attempt is the only one of its kind: where it fails, the address is more
   * likely to be wrong than the server to be restarting, so the link closes.
   */
  start(): void {
    this.#timer = undefined;
    try {
      this.connection = new Connection(this.#settings, {
        hello: (connection, hello) => this.#open(connection, hello),
        reply: (reply) => this.#events.reply(reply),
        end: (ending) => this.#end(ending),
      });
    } catch (error) {
      // The constructor of a WebSocket throws where a page's policy forbids the address.
      this.#shut(new HoldfastError('CLOSED', `No connection can be made: ${String(error)}.`, {}, error));
    }
  }

  /** Closes for good; the error is what commands under way are rejected with. */
  close(error: HoldfastError): Promise<void> {
    const { connection } = this;
    if (!this.#shut(error)) return Promise.resolve();
    connection?.drop({ text: 'was closed by this client' });
    return connection?.closed() ?? Promise.resolve();
  }

  #open(connection: Connection, hello: Hello): void {
    this.#opened = true;
    this.#enter('open');
    // A listener may have closed the client meanwhile.
    if (this.connection === connection) this.#events.open(connection, hello);
  }

  #end(ending: Ending): void {
    const { connection } = this;
    this.connection = undefined;
    if (this.state === 'closed') return;
    const { attempts, maxMs } = this.#settings.reconnect;
    const { final, error, text, ...details } = ending;
    if (final !== undefined) return void this.#shut(final);
    const lost = error ?? new HoldfastError('CLOSED', `The connection ${text}.`, details);
    if (!this.#opened) return void this.#shut(lost);
    // A connection counts as a success once it was of use, or lasted; not one that only said hello.
    const greeted = connection?.hello !== undefined;
    if (greeted && (connection.answered || monotonicMs() - connection.startedAt >= maxMs)) this.#failures = 0;
    if (this.#failures >= attempts) {
      const tries = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} to reconnect`;
      return void this.#shut(
        new HoldfastError('CLOSED', `The connection ${text}; given up after ${tries}.`, details),
      );
    }
    this.#timer = setTimeout(() => this.start(), backoffMs(this.#failures++, this.#settings.reconnect));
    if (greeted) this.#events.cut(ending);
    this.#enter('connecting', lost);
  }

  #shut(error: HoldfastError): boolean {
    if (this.state === 'closed') return false;
    clearTimeout(this.#timer);
    this.connection = undefined;
    this.#enter('closed', error);
    this.#events.closed(error);
    return true;
  }

  #enter(state: State, error?: HoldfastError): void {
    if (this.state === state) return;
    this.state = state;
    this.#events.state(state, error);
  }
}
