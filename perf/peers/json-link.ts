import { skuName, strided } from '../load/frames.ts';
import { type Link, type LinkOptions, type Links, Wire } from './link.ts';
import { holderName } from './redis-link.ts';

/** Holds as JSON text over WebSocket, one or many in a message. */
export async function openJson(
  options: Omit<LinkOptions, 'index' | 'links'>,
  connections: number,
): Promise<Links> {
  const messages = messageSet(options);
  const links = Array.from(
    { length: connections },
    (_, index) => new JsonLink(options, messages, index, connections),
  );
  await Promise.all(links.map((link) => link.opened));
  return { links };
}

interface MessageSet {
  readonly bytes: Buffer;
  readonly messageBytes: number;
  readonly messages: number;
}

class JsonLink implements Link {
  readonly inFlight: number;
  readonly opened: Promise<void>;
  accepted = 0;
  refused = 0;
  onAnswered: (requests: number) => void = () => {};
  onFailure: (error: Error) => void = () => {};
  private readonly wire: Wire;
  private readonly set: MessageSet;
  private next: number;
  private greeted: () => void = () => {};
  private isOpen = false;

  constructor(
    { port, inFlight }: Pick<LinkOptions, 'port' | 'inFlight'>,
    set: MessageSet,
    index: number,
    links: number,
  ) {
    this.inFlight = inFlight;
    this.set = set;
    this.next = Math.floor((index * set.messages) / links);
    this.wire = new Wire(port, (bytes) => (this.isOpen ? this.take(bytes) : this.takeUpgrade(bytes)));
    this.opened = new Promise((resolve, reject) => {
      this.greeted = resolve;
      this.wire.onFailure = (error) => {
        reject(error);
        this.onFailure(error);
      };
    });
    this.wire.write(
      `GET /?holder=${holderName(index)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\n` +
        'Connection: Upgrade\r\nSec-WebSocket-Key: aG9sZGZhc3QgYmVuY2ggMQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
  }

  send(requests: number): void {
    const { bytes, messageBytes, messages } = this.set;
    for (let left = requests; left > 0; ) {
      const together = Math.min(left, messages - this.next);
      this.wire.write(bytes.subarray(this.next * messageBytes, (this.next + together) * messageBytes));
      this.next = (this.next + together) % messages;
      left -= together;
    }
  }

  close(): void {
    this.wire.close();
  }

  private takeUpgrade(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return 0;
    const head = bytes.toString('latin1', 0, end);
    if (!head.startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${head.slice(0, 300)}`);
    this.isOpen = true;
    this.greeted();
    return end + 4;
  }

  private take(bytes: Buffer): number {
    let answered = 0;
    const used = readTextFrames(bytes, (text) => {
      answered++;
      const { results = [], ok } = JSON.parse(text) as Answer;
      for (const result of ok === undefined ? results : [{ ok }]) {
        if (result.ok) this.accepted++;
        else this.refused++;
      }
    });
    if (answered > 0) this.onAnswered(answered);
    return used;
  }
}

interface Answer {
  readonly ok?: boolean;
  readonly results?: readonly { readonly ok: boolean }[];
}

/** Hands on the text of each whole frame and returns the bytes that they took. Throws on other frames: none comes within a run. */
export function readTextFrames(bytes: Buffer, onText: (text: string) => void): number {
  let pos = 0;
  while (bytes.length - pos >= 2) {
    const short = bytes[pos + 1] & 0x7f;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length - pos < head) break;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(pos + 2) : bytes.readUIntBE(pos + 4, 6);
    if (bytes[pos] !== 0x81) throw new Error(`a frame that begins with ${bytes[pos]} came, not a whole text`);
    if (bytes.length - pos < head + length) break;
    onText(bytes.toString('utf8', pos + head, pos + head + length));
    pos += head + length;
  }
  return pos;
}

/** One masked text frame. Its key is zero, which is legal and leaves the payload as it is. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(payload.length < 126 ? 6 : payload.length < 65_536 ? 8 : 14);
  head[0] = 0x81;
  if (payload.length < 126) head[1] = 0x80 | payload.length;
  else if (payload.length < 65_536) {
    head[1] = 0xfe;
    head.writeUInt16BE(payload.length, 2);
  } else {
    head[1] = 0xff;
    head.writeUIntBE(payload.length, 4, 6);
  }
  return Buffer.concat([head, payload]);
}

function messageSet({
  skus,
  firstSku,
  ttlMs,
  holdsPerRequest,
}: Pick<LinkOptions, 'skus' | 'firstSku' | 'ttlMs' | 'holdsPerRequest'>): MessageSet {
  const messages = Math.max(1, Math.ceil(skus / holdsPerRequest));
  let at = 0;
  const order = () => ({ sku: skuName(firstSku + strided(at++, skus)), quantity: 1, ttlMs });
  // Ids of one length, as all else here, so that messages lie back to back.
  const message = (_: unknown, i: number) => {
    const id = 100_000 + i;
    const what =
      holdsPerRequest === 1
        ? { op: 'hold', id, ...order() }
        : { op: 'holds', id, holds: Array.from({ length: holdsPerRequest }, order) };
    return textFrame(JSON.stringify(what));
  };
  const frames = Array.from({ length: messages }, message);
  return { bytes: Buffer.concat(frames), messageBytes: frames[0].length, messages };
}
