import { PROTOCOL_VERSION } from '../../protocol/limits.ts';
import { AUTH_ID, Bearer, type TokenSource } from './bearer.ts';
import { decodeFrame, type Hello, type Message } from './codec.ts';
import { type ErrorDetails, HoldfastError } from './errors.ts';
import type { Settings, SocketEvent, WebSocketLike } from './options.ts';
import { monotonicMs } from './server-clock.ts';

/** Close codes for which to connect again would end the same way: the server does not understand us. */
const FINAL_CODES = new Set([1002, 1003, 1007, 1008, 1009, 1010]);
/** Ours, for a server that we do not understand. Browsers let a page give codes from 3000 only. */
const CLOSE_PROTOCOL = 4002;
/** The server's, for a connection without a valid token, or one whose token expired. */
const CLOSE_UNAUTHENTICATED = 4401;
/** How long the other side may take to answer our close. */
const CLOSE_WAIT_MS = 1_000;

/** How a connection ended. */
export interface Ending {
  /** In words, to go behind "the connection" in a message. */
  readonly text: string;
  readonly closeCode?: number;
  readonly closeReason?: string;
  /** Set when to connect again would make no difference. */
  readonly final?: HoldfastError;
  /** What to tell instead of CLOSED. */
  readonly error?: HoldfastError;
}

export interface ConnectionEvents {
  /** The server said hello and, where there is a token, took it. */
  hello(connection: Connection, hello: Hello): void;
  reply(reply: Extract<Message, { kind: 'reply' }>): void;
  end(ending: Ending): void;
}

/**
 * One WebSocket from its opening to its end, with the token that opens it. The events come in the order hello, reply…, end; end
 * comes once.
 */
export class Connection {
  readonly startedAt = monotonicMs();
  /** When the last frame came, in monotonic ms. */
  receivedAt = 0;
  /** When the hello came, likewise. */
  helloAt = 0;
  /** Whether a command was ever answered on it. */
  answered = false;
  hello: Hello | undefined;
  /** By which name the server knows this client, where there is a token. */
  holder: string | undefined;

  readonly #settings: Settings;
  readonly #bearer: Bearer | undefined;
  readonly #socket: WebSocketLike;
  readonly #events: ConnectionEvents;
  readonly #helloTimer: ReturnType<typeof setTimeout>;
  #ended = false;
  #closed = (): void => {};
  readonly #closing = new Promise<void>((resolve) => {
    this.#closed = resolve;
  });

  constructor(settings: Settings, events: ConnectionEvents) {
    const { url, webSocket, timeoutMs, token } = settings;
    this.#settings = settings;
    this.#events = events;
    this.#bearer = token === undefined ? undefined : this.#bearerOf(token);
    this.#socket = new webSocket(url);
    this.#helloTimer = setTimeout(() => {
      const missing =
        this.hello === undefined
          ? `brought no hello within ${timeoutMs} ms: check that ${url} is a Holdfast server`
          : `could not be opened with a token within ${timeoutMs} ms`;
      this.drop({ text: missing });
    }, timeoutMs);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.addEventListener('message', (event) => this.#receive(event.data));
    // Node 22 sends no close event behind the error of a connection that could not be made; browsers do.
    this.#socket.addEventListener('error', ({ message = '' }) => this.#close({ reason: message }));
    this.#socket.addEventListener('close', (event) => this.#close(event));
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    if (!this.#ended) this.#socket.send(frame);
  }

  /** Ends the connection from this side; the end event is called before this returns, unless it was already. */
  drop(ending: Ending, code = 1000, reason = ''): void {
    if (!this.#end(ending)) return;
    this.#socket.close(code, reason);
  }

  /** Drops the connection as one that makes no sense. Nothing is to be had by connecting again. */
  fail(text: string): void {
    const ending = {
      text: `failed: ${text}`,
      final: new HoldfastError('PROTOCOL', `The server is no match: ${text}.`),
    };
    this.drop(ending, CLOSE_PROTOCOL, 'not understood');
  }

  /** Resolves when the socket is closed on both sides, or the other side takes too long for it. */
  async closed(): Promise<void> {
    const timer = setTimeout(this.#closed, CLOSE_WAIT_MS);
    await this.#closing;
    clearTimeout(timer);
  }

  #receive(data: unknown): void {
    this.receivedAt = monotonicMs();
    const problem = decodeFrame(data, (message) => this.#take(message));
    if (problem !== '') this.fail(`a frame cannot be read, ${problem}`);
  }

  #take(message: Message): void {
    if (this.#ended) return;
    if (message.kind === 'hello') this.#greet(message.hello);
    else if (message.kind === 'error') this.fail(`it refused a frame of ours, ${message.text}`);
    else if (this.hello === undefined) this.fail('its first message is no hello');
    else if (message.kind === 'reply' && message.requestId === AUTH_ID) {
      this.#bearer?.reply(message.status, message.results);
    } else if (message.kind === 'reply') {
      this.answered = true;
      this.#events.reply(message);
    }
  }

  #greet(hello: Hello): void {
    const { protocolVersion } = hello;
    if (this.hello !== undefined) {
      this.fail('it said hello twice');
    } else if (protocolVersion !== PROTOCOL_VERSION) {
      this.fail(`it speaks protocol version ${protocolVersion}, this SDK speaks ${PROTOCOL_VERSION}`);
    } else {
      this.hello = hello;
      this.helloAt = this.receivedAt;
      if (this.#bearer === undefined) this.#open(hello);
      else void this.#bearer.bring();
    }
  }

  #open(hello: Hello): void {
    clearTimeout(this.#helloTimer);
    this.#events.hello(this, hello);
  }

  #bearerOf(token: TokenSource): Bearer {
    const serverNow = () => (this.hello?.serverTimeMs ?? 0) + monotonicMs() - this.helloAt;
    return new Bearer(
      token,
      {
        send: (frame) => this.send(frame),
        granted: (holder) => {
          this.holder = holder;
          this.#open(this.hello as Hello);
        },
        failed: (error) => this.drop({ text: 'had no token', error }),
        refused: (error) => this.drop({ text: 'was not opened by the token', final: error }),
      },
      serverNow,
    );
  }

  #close({ code = 1006, reason = '' }: SocketEvent): void {
    this.#closed();
    const text =
      this.hello === undefined
        ? `could not be made (${reason.replace(/\.$/, '') || `code ${code}`}): check the address and that the server runs`
        : `ended with code ${code}${reason === '' ? '' : ` (${reason})`}`;
    const details = { closeCode: code, closeReason: reason };
    const final = this.#hopeless(code, text, details);
    this.#end({ text, ...details, ...(final === undefined ? {} : { final }) });
  }

  #hopeless(code: number, text: string, details: ErrorDetails): HoldfastError | undefined {
    if (FINAL_CODES.has(code)) return new HoldfastError('PROTOCOL', `The connection ${text}.`, details);
    if (code !== CLOSE_UNAUTHENTICATED || this.#settings.token !== undefined) return undefined;
    const right = 'This server wants a token: give one as the option token.';
    return new HoldfastError('UNAUTHENTICATED', right, { ...details, reason: 'MISSING' });
  }

  #end(ending: Ending): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    clearTimeout(this.#helloTimer);
    this.#bearer?.stop();
    this.#events.end(ending);
    return true;
  }
}
