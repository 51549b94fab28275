import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../load/connection.ts';
import { FIRST_REQUEST_ID, holdFrame } from '../load/frames.ts';

export interface StormTask {
  readonly port: number;
  readonly connections: number;
  /** Over which they come. */
  readonly seconds: number;
  /** Of the hold that each places. */
  readonly ttlMs: number;
}

export interface StormRound {
  readonly opened: number;
  readonly failed: number;
  /** Why the first of them failed. */
  readonly failure: string | undefined;
  /** From the first attempt to the last answer. */
  readonly tookMs: number;
  /** From an attempt to connect to the answer to a command. */
  readonly waitsMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

const TICK_MS = 10;
const ANSWER_MS = 60_000;

/**
 * A storm: so many clients connect within some seconds, each places a hold and is answered; then all connections break at once, and all
 * clients come back in the same way; then they go. For a thread of its own.
 */
export async function storm(task: StormTask): Promise<{ first: StormRound; again: StormRound }> {
  const hold = holdFrame(FIRST_REQUEST_ID, 0, task.ttlMs);
  const first = await round(task, hold);
  for (const connection of first.connections) connection.destroy();
  const again = await round(task, hold);
  for (const connection of again.connections) connection.destroy();
  return { first: first.result, again: again.result };
}

async function round(
  { port, connections: count, seconds }: StormTask,
  hold: Buffer,
): Promise<{ result: StormRound; connections: Connection[] }> {
  const connections: Connection[] = [];
  const waits: number[] = [];
  let failure: string | undefined;
  const startedMs = performance.now();
  const attempts: Promise<void>[] = [];
  while (attempts.length < count) {
    const due = Math.ceil(((performance.now() - startedMs) / (seconds * 1000)) * count);
    while (attempts.length < Math.min(count, due)) {
      attempts.push(
        come(port, hold, connections).then(
          (ms) => void waits.push(ms),
          (error: Error) => {
            failure ??= error.message;
          },
        ),
      );
    }
    await sleep(TICK_MS);
  }
  await Promise.all(attempts);
  const tookMs = Math.round(performance.now() - startedMs);
  waits.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(waits[Math.ceil(share * waits.length) - 1] ?? 0);
  const waitsMs = { p50: at(0.5), p99: at(0.99), max: at(1) };
  const opened = waits.length;
  return { result: { opened, failed: count - opened, failure, tookMs, waitsMs }, connections };
}

/** One client comes and is served. Resolves to how long that took, in ms. */
async function come(port: number, hold: Buffer, connections: Connection[]): Promise<number> {
  const startedMs = performance.now();
  const connection = await Connection.open({ port, path: '/v1/ws?holder=storm', answers: 'replies' });
  connections.push(connection);
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('no answer')), ANSWER_MS);
    const end = (settle: () => void): void => {
      clearTimeout(late);
      settle();
    };
    connection.onFailure = (error) => end(() => reject(error));
    connection.onRead = () => {
      const { replies, accepted } = connection.scanner;
      if (accepted > 0) end(resolve);
      else if (replies > 0) end(() => reject(new Error('the hold was refused')));
    };
    connection.write(hold);
  });
  connection.onFailure = () => {};
  return performance.now() - startedMs;
}
