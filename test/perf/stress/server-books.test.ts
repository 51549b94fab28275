import { describe, expect, it } from 'vitest';
import type { Asker } from '../../../perf/load/asker.ts';
import { hot } from '../../../perf/scenarios/hot.ts';
import { ServerSide } from '../../../perf/stress/server-books.ts';
import type { Target } from '../../../perf/stress/target.ts';
import { Op, StockMode } from '../../../protocol/ops.ts';
import { Status } from '../../../protocol/status.ts';

/** A server that answers the commands of each question in turn with these statuses, and then OK. */
function sideOf(skus: number, statuses: number[][]) {
  const asked: unknown[][][] = [];
  const ask = async (commands: unknown[][]): Promise<number[][]> => {
    const told = statuses[asked.length] ?? [];
    asked.push(commands);
    return commands.map((_, i) => [told[i] ?? Status.OK]);
  };
  const side = new ServerSide({} as Target, { ask } as unknown as Asker, { ...hot, skus }, 'x-');
  return { side, asked };
}

const restocked = (sku: string) => [Op.STOCK, sku, StockMode.DELTA, 5];

describe('a restock in the middle of a run', () => {
  it('asks again only what found a queue full, so that no SKU gets its units twice', async () => {
    const { side, asked } = sideOf(3, [[Status.OK, Status.BUSY, Status.BUSY], [Status.BUSY]]);
    await side.restock(5);
    const names = ['x-0000000', 'x-0000001', 'x-0000002'];
    expect(asked).toEqual([
      names.map(restocked),
      names.slice(1).map(restocked),
      names.slice(1, 2).map(restocked),
    ]);
  });

  it('fails with the status of any other refusal', async () => {
    const { side } = sideOf(2, [[Status.OK, Status.STOCK_LIMIT]]);
    await expect(side.restock(5)).rejects.toThrow('STOCK of x-0000001 was answered STOCK_LIMIT.');
  });

  it('takes many SKUs in lots', async () => {
    const { side, asked } = sideOf(900, []);
    await side.restock(5);
    expect(asked.map(({ length }) => length)).toEqual([400, 400, 100]);
  });
});
