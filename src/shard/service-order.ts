import type { CommandQueue } from './command-queue.ts';
import { LANES } from './lanes.ts';

/** Of so many groups in a row a lane in which commands wait has one, whatever waits in the lanes before it. */
export const SHARE = 8;

/**
 * Which queue of a worker is served next, a group of commands at a time: the settle lane before the vip lane before the normal one, and within
 * a lane one front after the other. A lane to which others were preferred for SHARE - 1 groups has a turn, so that nothing starves.
 */
export class ServiceOrder {
  /** The queues of all fronts, by lane. */
  private readonly lanes: readonly (readonly CommandQueue[])[];
  /** For each lane, the front whose turn it is. */
  private readonly turns = new Int32Array(LANES);
  /** For each lane, groups of others that were preferred to it since its own last one. */
  private readonly passed = new Int32Array(LANES);

  /** @param lanes for each lane, the queue of each front */
  constructor(lanes: readonly (readonly CommandQueue[])[]) {
    this.lanes = lanes;
  }

  /** The queue to take the next group from; undefined when no command waits that can be answered. */
  next(): CommandQueue | undefined {
    for (let lane = LANES - 1; lane > 0; lane--) {
      if ((this.passed[lane] as number) < SHARE - 1) continue;
      const queue = this.nextIn(lane);
      if (queue !== undefined) return this.prefer(queue, 1);
    }
    for (let lane = 0; lane < LANES; lane++) {
      const queue = this.nextIn(lane);
      if (queue !== undefined) return this.prefer(queue, lane + 1);
    }
    return undefined;
  }

  /** Notes that a queue is preferred to all lanes from one on. */
  private prefer(queue: CommandQueue, from: number): CommandQueue {
    const { passed } = this;
    for (let lane = from; lane < LANES; lane++) {
      if ((passed[lane] as number) < SHARE) passed[lane] = (passed[lane] as number) + 1;
    }
    passed[queue.lane] = 0;
    return queue;
  }

  private nextIn(lane: number): CommandQueue | undefined {
    const { turns } = this;
    const queues = this.lanes[lane] as readonly CommandQueue[];
    for (let tried = 0; tried < queues.length; tried++) {
      const front = turns[lane] as number;
      turns[lane] = front + 1 < queues.length ? front + 1 : 0;
      const queue = queues[front] as CommandQueue;
      if (queue.ready()) return queue;
    }
    return undefined;
  }
}
