import { Wire } from './link.ts';

/** Kinds of messages from the server that matter here, by their first byte. */
const Kind = { AUTHENTICATION: 0x52, READY: 0x5a, COMPLETE: 0x43, ROW: 0x44, ERROR: 0x45 } as const;
const AUTHENTICATION_OK = 0;
const CLEARTEXT_PASSWORD = 3;
const PROTOCOL_VERSION = 196_608;

export interface Session {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Settings of the session: name and value. */
  readonly settings: Readonly<Record<string, string>>;
  /** Statements to prepare: name and text. */
  readonly statements: Readonly<Record<string, string>>;
}

/**
 * A PostgreSQL connection for messages that were made beforehand (protocol 3, extended queries). It knows three things of the answers:
 * rows affected, the first column of a row, and that a request is over.
 */
export class PostgresConnection {
  /** Rows that a command affected. */
  onComplete: (rows: number) => void = () => {};
  onRow: (firstColumn: string) => void = () => {};
  /** The request that ended with a Sync is over. */
  onReady: () => void = () => {};
  /** Called once for each read. */
  onRead: () => void = () => {};
  private readonly wire: Wire;
  private readonly password: string;

  private constructor(session: Session) {
    this.password = session.password;
    this.wire = new Wire(session.port, (bytes) => this.take(bytes));
  }

  /** Resolves when the statements are prepared. */
  static open(session: Session): Promise<PostgresConnection> {
    return new Promise((resolve, reject) => {
      const connection = new PostgresConnection(session);
      connection.onFailure = reject;
      const prepared = Object.entries(session.statements).map(([name, text]) => parse(name, text));
      connection.onReady = () => {
        connection.onReady = () => resolve(connection);
        connection.write(Buffer.concat([...prepared, SYNC]));
      };
      const words = Object.entries({ user: session.user, database: 'postgres', ...session.settings });
      connection.write(startup(words.flat()));
    });
  }

  set onFailure(fail: (error: Error) => void) {
    this.wire.onFailure = fail;
  }

  write(bytes: Buffer): void {
    this.wire.write(bytes);
  }

  close(): void {
    this.wire.close();
  }

  private take(bytes: Buffer): number {
    const used = readMessages(bytes, (kind, start, end) => this.onMessage(bytes, kind, start, end));
    this.onRead();
    return used;
  }

  private onMessage(bytes: Buffer, kind: number, start: number, end: number): void {
    if (kind === Kind.READY) this.onReady();
    else if (kind === Kind.COMPLETE) this.onComplete(affected(bytes.toString('latin1', start, end - 1)));
    else if (kind === Kind.ROW)
      this.onRow(bytes.toString('latin1', start + 6, start + 6 + bytes.readInt32BE(start + 2)));
    else if (kind === Kind.ERROR) throw new Error(`PostgreSQL said: ${errorText(bytes, start, end)}`);
    else if (kind === Kind.AUTHENTICATION) this.authenticate(bytes.readInt32BE(start));
  }

  private authenticate(method: number): void {
    if (method === AUTHENTICATION_OK) return;
    if (method !== CLEARTEXT_PASSWORD) throw new Error(`PostgreSQL asks for the authentication ${method}`);
    this.wire.write(message('p', text(this.password)));
  }
}

/** Hands on each whole message, as its kind and where its body is, and returns the bytes that they took. */
export function readMessages(
  bytes: Buffer,
  onMessage: (kind: number, start: number, end: number) => void,
): number {
  let pos = 0;
  while (bytes.length - pos >= 5) {
    const end = pos + 1 + bytes.readInt32BE(pos + 1);
    if (end > bytes.length) break;
    onMessage(bytes[pos], pos + 5, end);
    pos = end;
  }
  return pos;
}

/** Runs a prepared statement with parameters in text form. */
export function bindAndExecute(statement: string, parameters: readonly string[]): Buffer {
  const values = parameters.flatMap((parameter) => {
    const bytes = Buffer.from(parameter);
    return [int32(bytes.length), bytes];
  });
  const bind = [text(''), text(statement), int16(0), int16(parameters.length), ...values, int16(0)];
  return Buffer.concat([message('B', ...bind), message('E', text(''), int32(0))]);
}

/** Ends a request: what came since the last one is one transaction, unless it said otherwise. */
export const SYNC = message('S');

function parse(name: string, statement: string): Buffer {
  return message('P', text(name), text(statement), int16(0));
}

function startup(words: readonly string[]): Buffer {
  const body = Buffer.concat([int32(PROTOCOL_VERSION), ...words.map(text), Buffer.from([0])]);
  return Buffer.concat([int32(body.length + 4), body]);
}

function message(kind: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(kind), int32(body.length + 4), body]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function int16(value: number): Buffer {
  return Buffer.from([value >>> 8, value]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** `INSERT 0 1`, `UPDATE 1`, `BEGIN`: the number at the end, or 0. */
function affected(tag: string): number {
  return Number(/ (\d+)$/.exec(tag)?.[1] ?? 0);
}

/** Fields of an error, each a letter and a text: S is how severe, M the message. */
function errorText(bytes: Buffer, start: number, end: number): string {
  const fields = bytes.toString('utf8', start, end).split('\0');
  const field = (letter: string) => fields.find((each) => each.startsWith(letter))?.slice(1) ?? '';
  return `${field('S')} ${field('C')} ${field('M')}`;
}
