import { setTimeout as sleep } from 'node:timers/promises';
import { opName } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import type { Asker } from './asker.ts';

/** For so long a server may be busy with what is left of a load, and this often it is asked again. */
const PATIENCE_MS = 30_000;
const AGAIN_MS = 50;

/**
 * Asks commands, and those again that are answered BUSY, of which nothing has happened. Resolves to all replies, in the order of the commands;
 * rejects when one of them is not OK in the end.
 */
export async function insist(
  asker: Pick<Asker, 'ask'>,
  commands: readonly (readonly unknown[])[],
): Promise<number[][]> {
  const deadline = performance.now() + PATIENCE_MS;
  const replies = await asker.ask(commands);
  for (;;) {
    const busy = replies.flatMap(([status], i) => (status === Status.BUSY ? [i] : []));
    if (busy.length === 0 || performance.now() > deadline) break;
    await sleep(AGAIN_MS);
    const again = await asker.ask(busy.map((i) => commands[i] as unknown[]));
    for (const [nth, i] of busy.entries()) replies[i] = again[nth] as number[];
  }
  const refused = replies.findIndex(([status]) => status !== Status.OK);
  if (refused < 0) return replies;
  const [op, subject] = commands[refused] as [number, unknown];
  const [status] = replies[refused] as [number];
  throw new Error(`${opName(op)} of ${subject} was answered ${statusName(status)}.`);
}
