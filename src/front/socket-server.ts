import uWS from 'uWebSockets.js';
import { MAX_FRAME_BYTES, MAX_FRAME_CUT_BYTES, MAX_HOLDER_BYTES } from '../../protocol/limits.ts';
import { PUSH, Push } from '../../protocol/ops.ts';
import { Reason, Status } from '../../protocol/status.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../log/events.ts';
import type { Format } from '../metrics/exposition.ts';
import type { ProfileReport, ProfileRequest } from '../profile/profile-report.ts';
import { add, FrontCell } from '../shard/counters.ts';
import { Mode } from '../shard/records.ts';
import type { StageReport } from '../shard/stage-report.ts';
import type { Connection, Sink } from './connections.ts';
import type { Front } from './front.ts';
import type { Hello } from './hello.ts';
import type { HolderHash } from './holder.ts';
import { routeHttp } from './http.ts';
import { encode } from './message.ts';
import { isTrustedOrigin } from './origin.ts';
import type { SocketCount } from './socket-count.ts';
import { TICK_MS } from './stage-sampler.ts';
import { readText, writeText } from './text.ts';

export interface SocketServerOptions {
  front: Front;
  hello: Hello;
  holders: HolderHash;
  clock: Clock;
  /** Open WebSockets of all fronts, and how many there may be. */
  count: SocketCount;
  maxConnections: number;
  maxBackpressureBytes: number;
  /** What `GET /v1/stages` answers. */
  stages: () => StageReport;
  /** What `GET /metrics` answers. */
  metrics: (format: Format) => string;
  /** What `POST /v1/profile` answers. */
  profile: (request: ProfileRequest) => Promise<ProfileReport>;
  /** Takes what is worth a line in the log. */
  log: Log;
}

/** What hangs on each socket. */
interface Client {
  connection: Connection;
  text: boolean;
}

/** The connection hangs on the socket object itself: for each frame, getUserData() would be one more call into native code. */
type Socket = uWS.WebSocket<Client> & { connection: Connection };

const PATH = '/v1/ws';
const DEFAULT_HOLDER = 'anonymous';

/**
 * WebSocket and HTTP on one port, by uWebSockets.js. Belongs to the thread that made it. One listens; those of other threads get
 * their sockets from it, see shareWith().
 */
export class SocketServer {
  private readonly options: SocketServerOptions;
  private readonly app: uWS.TemplatedApp;
  private readonly sockets = new Set<Socket>();
  private readonly ticks: NodeJS.Timeout;
  private listenSocket: uWS.us_listen_socket | undefined;

  constructor(options: SocketServerOptions) {
    this.options = options;
    this.app = uWS.App();
    this.app.ws<Client>(PATH, {
      // Compression would cost more than all else together, on messages that are too short to gain by it.
      compression: uWS.DISABLED,
      maxPayloadLength: MAX_FRAME_CUT_BYTES,
      maxBackpressure: options.maxBackpressureBytes,
      closeOnBackpressureLimit: true,
      idleTimeout: 120,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => this.upgrade(res, req, context),
      open: (socket) => this.open(socket as Socket),
      message: (socket, message, isBinary) => this.message(socket as Socket, message, isBinary),
      close: (socket) => this.closed(socket as Socket),
    });
    routeHttp(this.app, options);
    this.ticks = setInterval(() => options.front.tick(), TICK_MS);
    this.ticks.unref();
  }

  /** Listens; resolves to the port. Rejects when the address cannot be had, also because another process has it. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const listening = (socket: uWS.us_listen_socket | false): void => {
        if (!socket) {
          reject(new AddressInUseError(host, port));
          return;
        }
        this.listenSocket = socket;
        resolve(uWS.us_socket_local_port(socket));
      };
      // Without this option two processes share a port and take each other's clients, without a word. The types lack the
      // constant and know the option for listen(port, …) only; the native function takes it behind a host too.
      const { LIBUS_LISTEN_EXCLUSIVE_PORT } = uWS as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number };
      const listen = this.app.listen as unknown as (...args: unknown[]) => void;
      listen.call(this.app, host, port, LIBUS_LISTEN_EXCLUSIVE_PORT, listening);
    });
  }

  /** What the one that listens needs to know to hand sockets over to this one. */
  get descriptor(): number {
    return childrenOf(this.app).getDescriptor();
  }

  /**
   * Deals out the sockets that come from now on, in turn, to this one and those of other threads, which must live as long as this one
   * listens.
   */
  shareWith(descriptors: readonly number[]): void {
    const app = childrenOf(this.app);
    for (const descriptor of [this.descriptor, ...descriptors]) app.addChildAppDescriptor(descriptor);
  }

  /** Takes no new connections from now on. */
  stopListening(): void {
    if (this.listenSocket === undefined) return;
    uWS.us_listen_socket_close(this.listenSocket);
    this.listenSocket = undefined;
  }

  /** Closes every WebSocket in order. */
  closeAll(code: number, reason: string): void {
    for (const socket of [...this.sockets]) socket.end(code, reason);
  }

  /** Drops what is left, and the loop is free to end. */
  destroy(): void {
    clearInterval(this.ticks);
    this.stopListening();
    this.app.close();
  }

  private upgrade(res: uWS.HttpResponse, req: uWS.HttpRequest, context: uWS.us_socket_context_t): void {
    const { front, holders, count, maxConnections } = this.options;
    const holder = req.getQuery('holder') ?? DEFAULT_HOLDER;
    const bytes = Buffer.byteLength(holder);
    if (bytes < 1 || bytes > MAX_HOLDER_BYTES) {
      res.writeStatus('400 Bad Request').end(`holder must be 1 to ${MAX_HOLDER_BYTES} bytes, not ${bytes}\n`);
      return;
    }
    const origin = req.getHeader('origin');
    if (!isTrustedOrigin(origin)) {
      res.writeStatus('403 Forbidden').end(`pages of ${origin} may not use this server\n`);
      return;
    }
    const { draining } = front.router;
    if (draining || !count.add(maxConnections)) {
      res.writeStatus('503 Service Unavailable').writeHeader('retry-after', '1');
      res.end(draining ? 'the server is stopping\n' : `${maxConnections} connections are open\n`);
      return;
    }
    holders.run(holder);
    const connection = front.connections.add(CLOSED_SINK, holders.lo, holders.hi);
    connection.holder = holder;
    const client: Client = {
      connection,
      text: req.getQuery('format') === 'json',
    };
    res.upgrade(
      client,
      req.getHeader('sec-websocket-key'),
      req.getHeader('sec-websocket-protocol'),
      req.getHeader('sec-websocket-extensions'),
      context,
    );
  }

  private open(socket: Socket): void {
    const { hello, clock } = this.options;
    this.sockets.add(socket);
    const client = socket.getUserData();
    socket.connection = client.connection;
    client.connection.sink = new SocketSink(socket, this.options.front.counters);
    if (client.text) socket.send(JSON.stringify(hello.message(clock())));
    else socket.send(hello.bytes(clock()), true);
  }

  private message(socket: Socket, message: ArrayBuffer, isBinary: boolean): void {
    const { front } = this.options;
    const { connection } = socket;
    const { counters } = front;
    add(counters, FrontCell.FRAMES_IN, 1);
    add(counters, FrontCell.BYTES_IN, message.byteLength);
    if (message.byteLength > MAX_FRAME_BYTES) {
      this.refuseLength(connection, isBinary, message.byteLength);
      return;
    }
    if (isBinary) {
      front.onFrame(connection, new Uint8Array(message), Mode.BINARY);
      return;
    }
    const { bytes, mode } = readText(Buffer.from(message).toString('utf8'));
    if (bytes !== undefined) {
      front.onFrame(connection, bytes, mode);
      return;
    }
    add(counters, FrontCell.UNREADABLE + Reason.NOT_JSON, 1);
    connection.sink.sendDecoded(mode, [PUSH, Push.ERROR, Status.MALFORMED, Reason.NOT_JSON, 0]);
    front.router.noteBroken(connection, Reason.NOT_JSON);
  }

  private refuseLength(connection: Connection, isBinary: boolean, bytes: number): void {
    add(this.options.front.counters, FrontCell.UNREADABLE + Reason.FRAME_TOO_LARGE, 1);
    const push = [PUSH, Push.ERROR, Status.MALFORMED, Reason.FRAME_TOO_LARGE, 0];
    connection.sink.sendDecoded(isBinary ? Mode.INTERNAL : Mode.JSON_NAMES, push);
    connection.sink.close(1009, `a frame of ${bytes} bytes is over ${MAX_FRAME_BYTES}`);
  }

  private closed(socket: Socket): void {
    this.sockets.delete(socket);
    const { connection } = socket;
    connection.sink = CLOSED_SINK;
    this.options.count.remove();
    this.options.front.connections.close(connection);
  }
}

/** Handing sockets over between threads is left out of the types of uWebSockets.js. */
interface Children {
  getDescriptor(): number;
  addChildAppDescriptor(descriptor: number): void;
}

function childrenOf(app: uWS.TemplatedApp): Children {
  return app as unknown as Children;
}

/** A socket as the front's core sees it. */
class SocketSink implements Sink {
  private readonly socket: Socket;
  private readonly counters: Float64Array;

  constructor(socket: Socket, counters: Float64Array) {
    this.socket = socket;
    this.counters = counters;
  }

  send(frame: Uint8Array): void {
    // 2: the frame would go over the backpressure limit. The socket layer drops it and closes the connection (closeOnBackpressureLimit), which
    // ends in closed(); a client never misses a reply on a connection that goes on.
    this.noteSent(this.socket.send(frame, true), frame.length);
  }

  sendDecoded(mode: number, message: unknown[]): void {
    const binary = mode === Mode.INTERNAL;
    const frame = binary ? encode(message) : Buffer.from(writeText(mode, message));
    this.noteSent(this.socket.send(frame, binary), frame.length);
  }

  close(code: number, reason: string): void {
    this.socket.end(code, reason);
  }

  private noteSent(sent: number, bytes: number): void {
    const { counters } = this;
    add(counters, FrontCell.FRAMES_OUT, 1);
    add(counters, FrontCell.BYTES_OUT, bytes);
    if (sent !== DROPPED) return;
    add(counters, FrontCell.CLOSED_SLOW, 1);
    this.socket.close();
  }
}

const DROPPED = 2;

/** Stands in for a socket that is not open yet, or is no more: what is sent to it is lost, as it would be on the wire. */
const CLOSED_SINK: Sink = {
  send() {},
  sendDecoded() {},
  close() {},
};

export class AddressInUseError extends Error {
  override readonly name = 'AddressInUseError';
  readonly code = 'EADDRINUSE';
  readonly host: string;
  readonly port: number;

  constructor(host: string, port: number) {
    super(`${host}:${port} cannot be listened on: another program has it, or it is not this machine's.`);
    this.host = host;
    this.port = port;
  }
}
