import uWS from 'uWebSockets.js';
import { MAX_FRAME_BYTES, MAX_FRAME_CUT_BYTES } from '../../protocol/limits.ts';
import { PUSH, Push } from '../../protocol/ops.ts';
import { Reason, Status } from '../../protocol/status.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../log/events.ts';
import { add, FrontCell } from '../shard/counters.ts';
import { Mode } from '../shard/records.ts';
import { CLOSED_SINK, type Connection, type Sink } from './connections.ts';
import { GateWatch } from './gate-watch.ts';
import { HeldBytes, HeldFrames } from './held-frames.ts';
import type { Hello } from './hello.ts';
import { holderTag } from './holder.ts';
import { type AdminOptions, routeAdmin } from './http-admin.ts';
import { routeHealth } from './http-health.ts';
import { routeStock } from './http-stock.ts';
import { Listener, type TlsFiles } from './listener.ts';
import type { Lobby } from './lobby.ts';
import { decodeAll, encode } from './message.ts';
import type { Sessions } from './session.ts';
import { TICK_MS } from './stage-sampler.ts';
import { readText, writeText } from './text.ts';
import { type Client, type UpgradeOptions, upgrade } from './upgrade.ts';

export interface SocketServerOptions extends UpgradeOptions, AdminOptions {
  hello: Hello;
  clock: Clock;
  /** Missing where there is no authentication. */
  sessions: Sessions | undefined;
  maxBackpressureBytes: number;
  /** A connection on which nothing comes for so long, not even the answer to a ping, is cut. */
  idleTimeoutMs: number;
  tls: TlsFiles | undefined;
  /** Whether what only who runs the server asks for has a port of its own. */
  adminApart: boolean;
}

/** The connection hangs on the socket object itself: for each frame, getUserData() would be one more call into native code. */
type Socket = uWS.WebSocket<Client> & { connection: Connection; held: HeldFrames | undefined };

const PATH = '/v1/ws';

/**
 * WebSocket and HTTP on one port, by uWebSockets.js. Belongs to the thread that made it. One listens; those of other threads get
 * their sockets from it, see renew().
 */
export class SocketServer {
  private readonly options: SocketServerOptions;
  private readonly main: Listener;
  private admin: Listener | undefined;
  /** Whoever runs the server is let in there also when a crowd has used up all that comes in here. */
  private adminLobby: Lobby | undefined;
  /** Those that got their sockets from the two, one after the other: each has a certificate of its own. */
  private readonly renewed: Listener[] = [];
  private current: Listener;
  private readonly sockets = new Set<Socket>();
  private readonly heldBytes = new HeldBytes();
  private readonly ticks: NodeJS.Timeout;

  constructor(options: SocketServerOptions) {
    this.options = options;
    this.main = new Listener(options.tls);
    this.current = this.main;
    this.route(this.main.app);
    const { front, log } = options;
    const watch = new GateWatch(front.gate, front.number, log);
    this.ticks = setInterval(() => {
      front.tick();
      watch.look();
    }, TICK_MS);
    this.ticks.unref();
  }

  private route(app: uWS.TemplatedApp): void {
    const { options } = this;
    app.filter((res, change) => options.lobby.enter(res, change as number));
    app.ws<Client>(PATH, {
      // Compression would cost more than all else together, on messages that are too short to gain by it.
      compression: uWS.DISABLED,
      maxPayloadLength: MAX_FRAME_CUT_BYTES,
      maxBackpressure: options.maxBackpressureBytes,
      closeOnBackpressureLimit: true,
      idleTimeout: Math.ceil(options.idleTimeoutMs / 1000),
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => upgrade(res, req, context, options),
      open: (socket) => this.open(socket as Socket),
      message: (socket, message, isBinary) => this.message(socket as Socket, message, isBinary),
      close: (socket, code) => this.closed(socket as Socket, code),
    });
    routeStock(app, options);
    if (!options.adminApart) routeAdmin(app, options);
    routeHealth(app, options);
  }

  private routeForAdmin(app: uWS.TemplatedApp): void {
    const { options } = this;
    this.adminLobby ??= options.lobby.apart();
    const apart = { ...options, lobby: this.adminLobby };
    app.filter((res, change) => apart.lobby.enter(res, change as number));
    routeAdmin(app, apart);
    routeHealth(app, apart);
  }

  /** The app that listens, if this is the server that does. */
  get listener(): Listener {
    return this.main;
  }

  /** The app that takes sockets, for the one that listens. */
  get descriptor(): number {
    return this.current.descriptor;
  }

  /**
   * Connections to come get the certificate that is in the files now, those that there are keep theirs: uWebSockets.js reads it once for an
   * app, so there is a further app, to which whoever listens has to deal its sockets by its descriptor. The apps before stay, as nothing
   * tells when their last connection is gone; each takes some 100 KB.
   */
  renew(tls: TlsFiles): void {
    const next = new Listener(tls);
    this.route(next.app);
    this.renewed.push(next);
    this.current = next;
  }

  /** The same of the port for administration, with its sockets. */
  renewAdmin(tls: TlsFiles): void {
    if (this.admin === undefined) return;
    const next = new Listener(tls);
    this.routeForAdmin(next.app);
    this.renewed.push(next);
    this.admin.dealTo([next.descriptor]);
  }

  /** Serves what only who runs the server asks for, and nothing else, on a port of its own. Resolves to the port. */
  async listenForAdmin(host: string, port: number, tls: TlsFiles | undefined): Promise<number> {
    const admin = new Listener(tls);
    this.admin = admin;
    this.routeForAdmin(admin.app);
    return await admin.listen(host, port);
  }

  /** Takes no new connections from now on. */
  stopListening(): void {
    this.main.stop();
    this.admin?.stop();
  }

  /** Closes every WebSocket in order. */
  closeAll(code: number, reason: string): void {
    for (const socket of [...this.sockets]) socket.end(code, reason);
  }

  /** Drops what is left, and the loop is free to end. */
  destroy(): void {
    clearInterval(this.ticks);
    this.main.destroy();
    this.admin?.destroy();
    for (const listener of this.renewed) listener.destroy();
  }

  private open(socket: Socket): void {
    const { sessions, front, log } = this.options;
    this.sockets.add(socket);
    const { connection, token } = socket.getUserData();
    socket.connection = connection;
    connection.sink = new SocketSink(socket, front.counters, log);
    sessions?.open(connection);
    log({ event: 'connection-opened', ...whoIs(connection) });
    socket.held = undefined;
    if (sessions === undefined || token === undefined) {
      this.greet(socket);
      return;
    }
    socket.held = new HeldFrames(this.heldBytes);
    void sessions.admit(connection, token).then((admitted) => {
      const frames = socket.held?.take() ?? [];
      socket.held = undefined;
      // Between the two a sweep may have found that its time is over.
      if (!admitted || !connection.open) return;
      this.greet(socket);
      for (const { bytes, isBinary } of frames) if (connection.open) this.frame(connection, bytes, isBinary);
    });
  }

  private greet(socket: Socket): void {
    const { hello, clock } = this.options;
    if (socket.getUserData().text) socket.send(JSON.stringify(hello.message(clock())));
    else socket.send(hello.bytes(clock()), true);
  }

  private message(socket: Socket, message: ArrayBuffer, isBinary: boolean): void {
    const { connection, held } = socket;
    const { counters } = this.options.front;
    add(counters, FrontCell.FRAMES_IN, 1);
    add(counters, FrontCell.BYTES_IN, message.byteLength);
    if (message.byteLength > MAX_FRAME_BYTES) {
      this.refuseLength(connection, isBinary, message.byteLength);
    } else if (held === undefined) {
      this.frame(connection, new Uint8Array(message), isBinary);
    } else if (!held.add(message, isBinary)) {
      connection.sink.close(1008, 'more came than is kept before the token was looked at');
    }
  }

  private frame(connection: Connection, frame: Uint8Array, isBinary: boolean): void {
    const { front } = this.options;
    if (isBinary) {
      front.onFrame(connection, frame, Mode.BINARY);
      return;
    }
    const { bytes, mode } = readText(Buffer.from(frame).toString('utf8'));
    if (bytes !== undefined) {
      front.onFrame(connection, bytes, mode);
      return;
    }
    add(front.counters, FrontCell.UNREADABLE + Reason.NOT_JSON, 1);
    connection.sink.sendDecoded(mode, [PUSH, Push.ERROR, Status.MALFORMED, Reason.NOT_JSON, 0]);
    front.router.noteBroken(connection, Reason.NOT_JSON);
  }

  private refuseLength(connection: Connection, isBinary: boolean, bytes: number): void {
    add(this.options.front.counters, FrontCell.UNREADABLE + Reason.FRAME_TOO_LARGE, 1);
    const push = [PUSH, Push.ERROR, Status.MALFORMED, Reason.FRAME_TOO_LARGE, 0];
    connection.sink.sendDecoded(isBinary ? Mode.INTERNAL : Mode.JSON_NAMES, push);
    connection.sink.close(1009, `a frame of ${bytes} bytes is over ${MAX_FRAME_BYTES}`);
  }

  private closed(socket: Socket, code: number): void {
    this.sockets.delete(socket);
    const { connection } = socket;
    socket.held?.take();
    connection.sink = CLOSED_SINK;
    const { count, lobby, front, sessions, log } = this.options;
    log({ event: 'connection-closed', ...whoIs(connection), code });
    count.remove();
    if (socket.getUserData().counted) lobby.arrivals.leave(connection.addressLo, connection.addressHi);
    sessions?.close(connection);
    front.connections.close(connection);
  }
}

/** A socket as the front's core sees it. */
class SocketSink implements Sink {
  private readonly socket: Socket;
  private readonly counters: Float64Array;
  private readonly log: Log;

  constructor(socket: Socket, counters: Float64Array, log: Log) {
    this.socket = socket;
    this.counters = counters;
    this.log = log;
  }

  send(frame: Uint8Array): void {
    const { audit } = this.socket.connection;
    if (audit !== undefined) for (const reply of decodeAll(frame)) audit.answered(reply as unknown[]);
    // 2: the frame would go over the backpressure limit. The socket layer drops it and closes the connection (closeOnBackpressureLimit), which
    // ends in closed(); a client never misses a reply on a connection that goes on.
    this.noteSent(this.socket.send(frame, true), frame.length);
  }

  sendDecoded(mode: number, message: unknown[]): void {
    this.socket.connection.audit?.answered(message);
    const binary = mode === Mode.INTERNAL;
    const frame = binary ? encode(message) : Buffer.from(writeText(mode, message));
    this.noteSent(this.socket.send(frame, binary), frame.length);
  }

  close(code: number, reason: string): void {
    const event = PROTOCOL_CODES.includes(code) ? 'client-closed' : 'signed-out';
    this.log({ event, ...whoIs(this.socket.connection), code, reason });
    this.socket.end(code, shortened(reason));
  }

  private noteSent(sent: number, bytes: number): void {
    const { counters } = this;
    add(counters, FrontCell.FRAMES_OUT, 1);
    add(counters, FrontCell.BYTES_OUT, bytes);
    if (sent !== DROPPED) return;
    add(counters, FrontCell.CLOSED_SLOW, 1);
    this.log({ event: 'slow-client', ...whoIs(this.socket.connection) });
    this.socket.close();
  }
}

const DROPPED = 2;
/** Codes of a client that does not keep to the protocol; the others are about its token. See SessionClose. */
const PROTOCOL_CODES = [1008, 1009];

/** A client as the log has it: by its connection, and by a hash of the holder, whose name is nobody's business. */
function whoIs({ name, holderLo, holderHi }: Connection): { connection: string; holder: string } {
  return { connection: name, holder: holderTag(holderLo, holderHi) };
}

/** A close frame's reason has room for so many bytes (RFC 6455, section 5.5). */
const MAX_REASON_BYTES = 123;

function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_REASON_BYTES) return reason;
  let end = MAX_REASON_BYTES;
  // Not within a character.
  while (((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}
