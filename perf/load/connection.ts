import { connect, type Socket } from 'node:net';
import { type Answers, HEADROOM_BYTES, Scanner } from './scanner.ts';

export interface ConnectionOptions {
  readonly port: number;
  /** Path and query of the upgrade. */
  readonly path: string;
  /** Goes in the Authorization header. */
  readonly token?: string | undefined;
  readonly answers: Answers;
}

const HANDSHAKE_MS = 60_000;

// All connections of a thread read into this one buffer: a read is handled to its end before the next one begins.
const READ_BYTES = 65_536;
const shared = Buffer.alloc(HEADROOM_BYTES + READ_BYTES);
const sharedPayload = shared.subarray(HEADROOM_BYTES);

/**
 * A WebSocket client that costs as little as node:net allows: frames are made beforehand, and what comes back is
 * counted where it lies. `onRead` is called once for each read, when the scanner has counted it.
 */
export class Connection {
  readonly scanner: Scanner;
  onRead: () => void = () => {};
  /** When the bytes that are being scanned were read, by performance.now(). */
  readAtMs = 0;
  onFailure: (error: Error) => void = () => {};
  private readonly socket: Socket;
  private head = '';
  private opened: (() => void) | undefined;
  private failed = false;

  private constructor(options: ConnectionOptions) {
    this.scanner = new Scanner(options.answers);
    this.socket = connect({
      host: '127.0.0.1',
      port: options.port,
      noDelay: true,
      onread: { buffer: sharedPayload, callback: (bytes: number) => this.onBytes(bytes) },
    });
    this.socket.on('error', (error) => this.fail(error));
    this.socket.on('close', () => this.fail(new Error('the connection was closed')));
    const authorization = options.token === undefined ? '' : `Authorization: Bearer ${options.token}\r\n`;
    this.socket.write(
      `GET ${options.path} HTTP/1.1\r\nHost: 127.0.0.1:${options.port}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Key: aG9sZGZhc3QgYmVuY2ggMQ==\r\nSec-WebSocket-Version: 13\r\n${authorization}\r\n`,
    );
  }

  /** Resolves with the connection when the server has accepted the upgrade. */
  static open(options: ConnectionOptions): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const connection = new Connection(options);
      const timer = setTimeout(() => connection.fail(new Error('no answer to the upgrade')), HANDSHAKE_MS);
      connection.onFailure = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      connection.opened = () => {
        clearTimeout(timer);
        resolve(connection);
      };
    });
  }

  /** Sends bytes that the caller leaves as they are. */
  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.socket.writableLength;
  }

  /** Reads nothing from now on. */
  deafen(): void {
    this.socket.pause();
  }

  /** Ends the connection without a farewell, and without telling onFailure. */
  destroy(): void {
    this.failed = true;
    this.socket.destroy();
  }

  private onBytes(bytes: number): boolean {
    try {
      if (this.opened !== undefined) return this.onHandshake(bytes);
      this.readAtMs = performance.now();
      this.scanner.read(shared, bytes);
      this.onRead();
    } catch (error) {
      this.fail(error as Error);
    }
    return true;
  }

  private onHandshake(bytes: number): boolean {
    this.head += sharedPayload.toString('latin1', 0, bytes);
    const end = this.head.indexOf('\r\n\r\n');
    if (end < 0) return true;
    if (!this.head.startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${this.head.slice(0, 300)}`);
    // The hello may have come in the same read.
    const rest = Buffer.from(this.head.slice(end + 4), 'latin1');
    rest.copy(sharedPayload);
    this.opened?.();
    this.opened = undefined;
    if (rest.length > 0) this.scanner.read(shared, rest.length);
    return true;
  }

  private fail(error: Error): void {
    if (this.failed) return;
    this.failed = true;
    this.socket.destroy();
    this.onFailure(error);
  }
}
