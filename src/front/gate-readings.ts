import { BreakerState } from '../admission/breakers.ts';
import { type Gate, NO_LIMIT } from '../admission/gate.ts';
import { FrontCell, MOST_WORKERS } from '../shard/counters.ts';

/** Writes down where a front's gate stands, for whoever reads the counters. Some ten times a second. `cells`: see FrontCell. */
export function noteGate(gate: Gate, cells: Float64Array): void {
  for (let worker = 0; worker < Math.min(gate.most.length, MOST_WORKERS); worker++) {
    const most = gate.most[worker] as number;
    cells[FrontCell.MOST + worker] = most < NO_LIMIT ? most : Number.POSITIVE_INFINITY;
    cells[FrontCell.UNDER_WAY + worker] = gate.underWay[worker] as number;
  }
  const { breakers } = gate;
  if (breakers === undefined) {
    cells.fill(0, FrontCell.SKU_GROUPS, FrontCell.OPS + 3);
    return;
  }
  for (const [row, first] of [
    [breakers.skus, FrontCell.SKU_GROUPS],
    [breakers.ops, FrontCell.OPS],
  ] as const) {
    let [open, halfOpen] = [0, 0];
    if (row.tripped > 0) {
      for (const state of row.states) {
        if (state === BreakerState.OPEN) open++;
        if (state === BreakerState.HALF_OPEN) halfOpen++;
      }
    }
    cells[first] = open;
    cells[first + 1] = halfOpen;
    cells[first + 2] = row.opened;
  }
}
