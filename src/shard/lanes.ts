import { OP_SHAPES, Route } from '../../protocol/ops.ts';
import { RING_BYTES_MIN } from '../ring/layout.ts';

/**
 * The lanes between a front and a worker, in the order in which they are served: commands on holds that exist, which must never starve
 * behind new holds; commands on SKUs over connections that have the claim `vip`; everything else.
 */
export const Lane = { SETTLE: 0, VIP: 1, NORMAL: 2 } as const;
export const LANES = 3;
export const LANE_NAMES = ['settle', 'vip', 'normal'] as const;
export type LaneName = (typeof LANE_NAMES)[number];

/**
 * The lane of a command, by its op and whether its connection has the claim `vip`. All commands on SKUs over one connection have one lane,
 * so that a HOLD never overtakes the STOCK before it. INSPECT, which takes long, goes before nobody.
 */
export function laneOf(op: number, vip: boolean): number {
  return (vip ? VIP_LANES : NORMAL_LANES)[op] as number;
}

const NORMAL_LANES: readonly number[] = OP_SHAPES.map(({ route }) =>
  route === Route.HOLD ? Lane.SETTLE : Lane.NORMAL,
);
const VIP_LANES: readonly number[] = OP_SHAPES.map(({ route }, op) =>
  route === Route.SKU ? Lane.VIP : (NORMAL_LANES[op] as number),
);

/**
 * Bytes of a lane's command ring, where the normal lane's has `commandRingBytes`. Few commands wait in lanes that are served first: the
 * settle lane has half of that, the vip lane a quarter.
 */
export function laneRingBytes(lane: number, commandRingBytes: number): number {
  return Math.max(RING_BYTES_MIN, commandRingBytes / (RING_SHARES[lane] as number));
}

const RING_SHARES = [2, 4, 1] as const;

/**
 * Bytes that commands of a lane leave free in their worker's event ring: three eighths of it are for commands on holds alone, so that a
 * store that falls behind has new holds refused first. Per group of commands that is made durable, not more holds end than were placed, and
 * an end takes less room than a hold.
 */
export function eventReserveBytes(lane: number, eventRingBytes: number): number {
  return lane === Lane.SETTLE ? 0 : (eventRingBytes / 8) * 3;
}
