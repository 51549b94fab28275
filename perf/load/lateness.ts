import { Op, StockMode } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import { Prng } from '../../src/base/prng.ts';
import { Asker } from './asker.ts';
import { insist } from './insist.ts';

export interface LatenessOptions {
  readonly port: number;
  /** SKUs with one hold each. */
  readonly probes: number;
  /** Time for which new holds are placed, ms. */
  readonly forMs: number;
}

const CLOCK = 'probe-clock';
const CLOCK_TTL_MS = 1000;
const SHORTEST_TTL_MS = 100;
const LONGEST_TTL_MS = 300;
/** A hold that is so late is not waited for. */
const LOST_MS = 10_000;
const SEED = 1;

/**
 * How late holds end, in ms each, by the server's own time. Every probe has one hold at a time; behind its deadline the SKU
 * is read until it holds nothing. READ ends no hold by itself, so what is seen is the expiry's doing. The server's time of a reading is told
 * by a HOLD at the end of the same frame, which gets its deadline from the same clock; it is the time at which the hold was *seen*
 * to be gone, so that the way of the question is in the figure.
 */
export async function measureLateness({ port, probes, forMs }: LatenessOptions): Promise<number[]> {
  const asker = await Asker.connect(port, 'probe');
  try {
    await stock(asker, probes);
    const random = new Prng(SEED);
    const endsAt = new Float64Array(probes);
    const lateMs: number[] = [];
    const endMs = performance.now() + forMs;
    let serverMs = 0;
    for (;;) {
      const places = performance.now() < endMs;
      const asked: number[] = [];
      const commands: unknown[][] = [];
      for (let probe = 0; probe < probes; probe++) {
        const free = endsAt[probe] === 0;
        if (free ? !places : endsAt[probe] > serverMs) continue;
        const ttlMs = SHORTEST_TTL_MS + random.below(LONGEST_TTL_MS - SHORTEST_TTL_MS + 1);
        asked.push(probe);
        commands.push(free ? [Op.HOLD, nameOf(probe), 1, ttlMs] : [Op.READ, nameOf(probe)]);
      }
      if (!places && endsAt.every((end) => end === 0)) return lateMs;
      const replies = await asker.ask([...commands, [Op.HOLD, CLOCK, 1, CLOCK_TTL_MS]]);
      const clock = replies.pop() as number[];
      if (!isDone(clock)) continue;
      serverMs = clock[2] - CLOCK_TTL_MS;
      for (const [i, probe] of asked.entries()) {
        if (!isDone(replies[i])) continue;
        if (commands[i][0] === Op.HOLD) {
          endsAt[probe] = replies[i][2];
          continue;
        }
        const held = replies[i][2];
        const late = serverMs - endsAt[probe];
        if (held > 0 && late > LOST_MS) {
          throw new Error(`${nameOf(probe)} holds ${held} units ${late} ms behind its hold's deadline.`);
        }
        if (held > 0) continue;
        lateMs.push(late);
        endsAt[probe] = 0;
      }
    }
  } finally {
    asker.close();
  }
}

async function stock(asker: Asker, probes: number): Promise<void> {
  const commands = Array.from({ length: probes }, (_, i) => [Op.STOCK, nameOf(i), StockMode.TOTAL, 1]);
  await insist(asker, [...commands, [Op.STOCK, CLOCK, StockMode.TOTAL, PROBE_CLOCK_UNITS]]);
}

/** So much of the SKU whose holds tell the time that it does not run out. */
export const PROBE_CLOCK_UNITS = 100_000_000;

/** False when a queue was full, and the command is asked again. */
function isDone([status]: number[]): boolean {
  if (status !== Status.OK && status !== Status.BUSY)
    throw new Error(`a probe was answered ${statusName(status)}`);
  return status === Status.OK;
}

function nameOf(probe: number): string {
  return `probe-${probe}`;
}
