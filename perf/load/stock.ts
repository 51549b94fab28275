import { Connection } from './connection.ts';
import { stockFrames } from './frames.ts';

const COMMANDS_PER_FRAME = 100;
/** Few enough for the smallest queues that a server may be set to. */
const FRAMES_IN_FLIGHT = 4;
const LIMIT_MS = 30_000;

/** Gives each of the benchmark's SKUs a total of `units`, over WebSocket; rejects unless every command is accepted. */
export async function stock(port: number, skus: number, units: number): Promise<void> {
  const { bytes, frameBytes, frames } = stockFrames(skus, units, COMMANDS_PER_FRAME);
  const connection = await Connection.open({ port, path: '/v1/ws?holder=bench-stock', answers: 'replies' });
  const { scanner } = connection;
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      connection.onFailure = reject;
      timer = setTimeout(
        () => reject(new Error(`stocking ${skus} SKUs took more than ${LIMIT_MS} ms`)),
        LIMIT_MS,
      );
      let sent = 0;
      const advance = () => {
        if (scanner.replies > scanner.accepted) reject(new Error('a STOCK command was refused'));
        if (scanner.replies === frames * COMMANDS_PER_FRAME) resolve();
        const room = FRAMES_IN_FLIGHT - (sent - Math.floor(scanner.replies / COMMANDS_PER_FRAME));
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
