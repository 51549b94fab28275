import { microClock } from '../base/clock.ts';
import { FrontStages, SLOTS, Slot, type StageMemory } from './stage-memory.ts';

/**
 * The worker's side of the stage clocks, for the commands of one front: says when a timed command was taken and when its reply was
 * published. For whoever holds the lease.
 */
export class StageStamps {
  private readonly slots: Int32Array;
  private readonly clock = microClock();
  /** Slots of the commands that were taken and whose replies are not published. */
  private readonly taken = new Int32Array(SLOTS);
  private count = 0;

  constructor(memory: StageMemory, front: number) {
    this.slots = new FrontStages(memory, front).slots;
  }

  take(slot: number): void {
    this.slots[slot * Slot.WORDS + Slot.TAKEN] = this.clock();
    this.taken[this.count++] = slot;
  }

  /** Call it before the replies become visible: behind that the slots are the front's. */
  publish(): void {
    if (this.count === 0) return;
    const { slots, taken } = this;
    const now = this.clock();
    for (let i = 0; i < this.count; i++) slots[(taken[i] as number) * Slot.WORDS + Slot.REPLIED] = now;
    this.count = 0;
  }

  /** The replies have become visible some other way. */
  forget(): void {
    this.count = 0;
  }
}
