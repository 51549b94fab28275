import { setTimeout as sleep } from 'node:timers/promises';
import { Status, statusName } from '../../protocol/status.ts';
import { Connection } from './connection.ts';
import { type FrameSet, holdFrames, stockFrames } from './frames.ts';
import { upgradePath } from './pass.ts';

const COMMANDS_PER_FRAME = 100;
/** Few enough for the smallest queues that a server may be set to. */
const FRAMES_IN_FLIGHT = 2;
const LIMIT_MS = 60_000;

/** A server that was busy a moment ago may send some away: all are sent again then, which does no harm to a total. */
const ATTEMPTS = 50;
const AGAIN_MS = 100;

/** Gives the benchmark's SKUs from `firstSku` on (or those whose names begin with another prefix) a total of `units`, over WebSocket; rejects unless every command is accepted. */
export async function stock(
  port: number,
  skus: number,
  units: number,
  firstSku = 0,
  prefix?: string,
  token?: string,
): Promise<void> {
  const set = stockFrames(skus, units, COMMANDS_PER_FRAME, firstSku, prefix);
  for (let attempt = 1; ; attempt++) {
    try {
      await sendAll(port, 'STOCK', set, token);
      return;
    } catch (error) {
      if (!(error instanceof SentAwayError) || attempt === ATTEMPTS) throw error;
      await sleep(AGAIN_MS);
    }
  }
}

/** Places one hold of one unit on each of the benchmark's SKUs; rejects unless every command is accepted. */
export function fill(port: number, skus: number, ttlMs: number): Promise<void> {
  if (skus % COMMANDS_PER_FRAME !== 0) {
    throw new RangeError(`${skus} SKUs do not fill frames of ${COMMANDS_PER_FRAME} commands`);
  }
  return sendAll(port, 'HOLD', holdFrames({ skus, ttlMs, commandsPerFrame: COMMANDS_PER_FRAME, extra: 0 }));
}

async function sendAll(port: number, command: string, set: FrameSet, token?: string): Promise<void> {
  const { bytes, frameBytes, frames, commandsPerFrame } = set;
  const path = upgradePath('bench-stock', token);
  const connection = await Connection.open({ port, path, token, answers: 'replies' });
  const { scanner } = connection;
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      connection.onFailure = reject;
      timer = setTimeout(
        () =>
          reject(new Error(`${frames * commandsPerFrame} ${command} commands took more than ${LIMIT_MS} ms`)),
        LIMIT_MS,
      );
      let sent = 0;
      const advance = () => {
        const refused = scanner.byStatus.findIndex((count, status) => status !== Status.OK && count > 0);
        if (refused > 0) {
          const why = `a ${command} command was refused: ${statusName(refused)}`;
          reject(refused === Status.BUSY ? new SentAwayError(why) : new Error(why));
        }
        if (scanner.replies === frames * commandsPerFrame) resolve();
        const room = FRAMES_IN_FLIGHT - (sent - Math.floor(scanner.replies / commandsPerFrame));
        const count = Math.min(room, frames - sent);
        if (count <= 0) return;
        connection.write(bytes.subarray(sent * frameBytes, (sent + count) * frameBytes));
        sent += count;
      };
      connection.onRead = advance;
      advance();
    });
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
}

class SentAwayError extends Error {}
