import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Connection } from '../load/connection.ts';

export interface HoardersTask {
  readonly port: number;
  /** One for each hoarder. */
  readonly tokens: readonly string[];
  readonly connectionsEach: number;
  /** What a limit per holder is set for, and what anybody may have as much of as comes in time. */
  readonly prize: string;
  readonly plenty: string;
  readonly seconds: number;
  readonly ttlMs: number;
}

/** What one hoarder got over all of its connections. */
export interface Haul {
  /** HOLDs of one unit each that were accepted. */
  prize: number;
  plenty: number;
  /** Commands that layers of admission let through, whatever came of them; and those that they refused. */
  admitted: number;
  refused: number;
  sent: number;
}

const EVERY_MS = 20;
const PRIZE_ID = 1;
const PLENTY_ID = 2;
const DRAIN_MS = 500;

/**
 * Hoarders: each sends HOLDs by many connections as fast as a script that wants all of it would, whatever it is told. Every EVERY_MS a
 * frame of four HOLDs on each connection, half of them of the prize. For a thread of its own.
 */
export async function hoard(task: HoardersTask): Promise<Haul[]> {
  const { port, tokens, connectionsEach, seconds } = task;
  const hauls: Haul[] = tokens.map(() => ({ prize: 0, plenty: 0, admitted: 0, refused: 0, sent: 0 }));
  const frame = frameOf(task);
  const open = tokens.flatMap((token, hoarder) =>
    Array.from({ length: connectionsEach }, async () => {
      const connection = await Connection.open({ port, path: '/v1/ws', answers: 'replies', token });
      connection.scanner.onReply = (id, status) => note(hauls[hoarder] as Haul, id, status);
      return { connection, haul: hauls[hoarder] as Haul };
    }),
  );
  const all = await Promise.all(open);
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    const roundMs = performance.now();
    for (const { connection, haul } of all) {
      // Who is not read is not asked either: what the kernel does not take is no demand.
      if (connection.unsentBytes > 0) continue;
      connection.write(frame);
      haul.sent += 4;
    }
    await sleep(Math.max(1, EVERY_MS - (performance.now() - roundMs)));
  }
  await sleep(DRAIN_MS);
  for (const { connection } of all) connection.destroy();
  return hauls;
}

function note(haul: Haul, id: number, status: number): void {
  if (status === Status.RATE_LIMITED || status === Status.BUSY) haul.refused++;
  else haul.admitted++;
  if (status !== Status.OK) return;
  if (id === PRIZE_ID) haul.prize++;
  else haul.plenty++;
}

/** A masked frame of four HOLDs. Its key is zero, which leaves the payload as it is. */
function frameOf({ prize, plenty, ttlMs }: HoardersTask): Buffer {
  const packr = new Packr({ useRecords: false });
  const commands = [prize, plenty, prize, plenty].map((sku) =>
    Buffer.from(packr.pack([Op.HOLD, sku === prize ? PRIZE_ID : PLENTY_ID, sku, 1, ttlMs])),
  );
  const payload = Buffer.concat(commands);
  if (payload.length > 125)
    throw new RangeError(`${payload.length} bytes are over the short form of a frame`);
  return Buffer.concat([Buffer.from([0x82, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}
