import { Wire } from './link.ts';

/** A reply of the kinds that the scripts here give: integers, status lines, strings, and nil. */
export type Reply = number | string | null;

/** A Redis connection for requests that were made beforehand: nothing but bytes out and replies in, in the order of the requests. */
export class RespConnection {
  onReply: (reply: Reply) => void = () => {};
  /** Called once for each read, behind the last onReply. */
  onRead: () => void = () => {};
  private readonly wire: Wire;

  constructor(port: number) {
    this.wire = new Wire(port, (bytes) => this.take(bytes));
  }

  set onFailure(fail: (error: Error) => void) {
    this.wire.onFailure = fail;
  }

  write(bytes: Buffer | string): void {
    this.wire.write(bytes);
  }

  close(): void {
    this.wire.close();
  }

  private take(bytes: Buffer): number {
    const used = readReplies(bytes, (reply) => this.onReply(reply));
    this.onRead();
    return used;
  }
}

/** A command as Redis takes it. */
export function encodeCommand(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;
}

/** Hands on each whole reply and returns the bytes that they took. Throws on an error and on kinds that no reply here has. */
export function readReplies(bytes: Buffer, onReply: (reply: Reply) => void): number {
  let pos = 0;
  for (;;) {
    const lineEnd = bytes.indexOf(0x0d, pos);
    // The line feed behind it may not have come.
    if (lineEnd < 0 || lineEnd + 1 >= bytes.length) return pos;
    const kind = String.fromCharCode(bytes[pos]);
    const line = bytes.toString('latin1', pos + 1, lineEnd);
    let next = lineEnd + 2;
    let reply: Reply;
    if (kind === ':') reply = Number(line);
    else if (kind === '+') reply = line;
    else if (kind === '$' && line === '-1') reply = null;
    else if (kind === '$') {
      const end = next + Number(line);
      if (end + 2 > bytes.length) return pos;
      reply = bytes.toString('latin1', next, end);
      next = end + 2;
    } else throw new Error(`Redis answered ${kind}${line}`);
    onReply(reply);
    pos = next;
  }
}
