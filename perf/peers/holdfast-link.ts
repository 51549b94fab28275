import { Connection } from '../load/connection.ts';
import { type FrameSet, holdFrame, holdFrames } from '../load/frames.ts';
import type { Link, LinkOptions, Links } from './link.ts';

/** Holdfast's own binary frames: made beforehand, and the answers counted where they lie. */
export async function openHoldfast(
  options: Omit<LinkOptions, 'index' | 'links'>,
  connections: number,
): Promise<Links> {
  const frames = framesOf(options);
  const links = await Promise.all(
    Array.from({ length: connections }, async (_, index) => {
      const path = `/v1/ws?holder=peer-${index}`;
      const connection = await Connection.open({ port: options.port, path, answers: 'replies' });
      const first = Math.floor((index * frames.frames) / connections);
      return new HoldfastLink(connection, frames, first, options.inFlight);
    }),
  );
  return { links };
}

class HoldfastLink implements Link {
  readonly inFlight: number;
  onAnswered: (requests: number) => void = () => {};
  private readonly connection: Connection;
  private readonly frames: FrameSet;
  private next: number;
  private answered = 0;

  constructor(connection: Connection, frames: FrameSet, first: number, inFlight: number) {
    this.connection = connection;
    this.frames = frames;
    this.next = first;
    this.inFlight = inFlight;
    connection.onRead = () => this.onRead();
  }

  get accepted(): number {
    return this.connection.scanner.accepted;
  }

  get refused(): number {
    return this.connection.scanner.replies - this.connection.scanner.accepted;
  }

  set onFailure(fail: (error: Error) => void) {
    this.connection.onFailure = fail;
  }

  send(requests: number): void {
    const { bytes, frameBytes, frames } = this.frames;
    const start = this.next * frameBytes;
    this.connection.write(bytes.subarray(start, start + requests * frameBytes));
    this.next = (this.next + requests) % frames;
  }

  close(): void {
    this.connection.destroy();
  }

  private onRead(): void {
    const requests = Math.floor(this.connection.scanner.replies / this.frames.commandsPerFrame);
    if (requests === this.answered) return;
    const count = requests - this.answered;
    this.answered = requests;
    this.onAnswered(count);
  }
}

function framesOf(options: Omit<LinkOptions, 'index' | 'links'>): FrameSet {
  const { skus, firstSku, ttlMs, holdsPerRequest, inFlight } = options;
  if (firstSku === 0) return holdFrames({ skus, ttlMs, commandsPerFrame: holdsPerRequest, extra: inFlight });
  if (skus !== 1 || holdsPerRequest !== 1) throw new RangeError('a SKU apart takes one hold a frame');
  const frame = holdFrame(0x10000, firstSku, ttlMs);
  const bytes = Buffer.concat(Array.from({ length: inFlight + 1 }, () => frame));
  return { bytes, frameBytes: frame.length, frames: 1, commandsPerFrame: 1, commandBytes: 0 };
}
