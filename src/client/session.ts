import type { Hello } from './codec.ts';
import { Commander } from './commander.ts';
import { HoldfastError } from './errors.ts';
import { Link, type State } from './link.ts';
import type { Settings } from './options.ts';
import { ServerClock } from './server-clock.ts';

export type StateListener = (state: State, error: HoldfastError | undefined) => void;

/** What stands behind one client: the link to the server, the commands on it, and the server's clock. */
export class Session {
  readonly clock = new ServerClock();
  readonly commander: Commander;
  /** Resolves when the server has said hello for the first time; rejects when it will not. */
  readonly opened: Promise<void>;
  hello: Hello | undefined;
  /** By which name the server knows this client, where it brings a token. */
  holder: string | undefined;
  readonly #link: Link;
  readonly #listeners = new Set<StateListener>();

  constructor(settings: Settings) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.opened = promise;
    this.commander = new Commander(this.clock, settings);
    this.#link = new Link(settings, {
      open: (connection, hello) => {
        if (this.holder !== undefined && connection.holder !== this.holder) {
          void this.close(otherHolder(this.holder, connection.holder));
          return;
        }
        this.holder = connection.holder;
        this.hello = hello;
        this.commander.open(connection, hello);
        resolve();
      },
      reply: (reply) => this.commander.reply(reply),
      cut: (ending) => this.commander.cut(ending),
      closed: (error) => {
        this.commander.close(error);
        reject(error);
      },
      state: (state, error) => this.#announce(state, error),
    });
    this.#link.start();
  }

  get state(): State {
    return this.#link.state;
  }

  /** Calls the listener at every change of state; returns a function that ends that. */
  listen(listener: StateListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sends what is queued and closes for good. Whatever has no answer is rejected for this reason. */
  close(error: HoldfastError): Promise<void> {
    this.commander.flush();
    return this.#link.close(error);
  }

  #announce(state: State, error: HoldfastError | undefined): void {
    for (const listener of this.#listeners) {
      try {
        listener(state, error);
      } catch (thrown) {
        // A listener's mistake must not stop the client, nor stay unseen.
        queueMicrotask(() => {
          throw thrown;
        });
      }
    }
  }
}

/** Commands wait that were meant for the holder of before: they must not be carried out for another. */
function otherHolder(before: string, now: string | undefined): HoldfastError {
  const text = `The token of the new connection is ${JSON.stringify(now)}'s, and this client was ${JSON.stringify(before)}'s: connect anew to act for another holder.`;
  return new HoldfastError('FORBIDDEN', text);
}
