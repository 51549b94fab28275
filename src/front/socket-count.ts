import { type EngineMemory, FrontControl, frontControlOf } from '../shard/memory.ts';

/** How many WebSockets are open, over all fronts: each counts its own in shared memory, and the limit goes by the sum. */
export class SocketCount {
  private readonly controls: readonly Int32Array[];
  private readonly own: Int32Array;

  constructor(memory: EngineMemory, front: number) {
    this.controls = memory.fronts.map((_, other) => frontControlOf(memory, other));
    this.own = frontControlOf(memory, front);
  }

  /** Counts one more. False, with nothing counted, when `most` are open already. */
  add(most: number): boolean {
    // Counted before it is looked at: of two fronts that take the last place at the same time, at most one gets it.
    Atomics.add(this.own, FrontControl.CONNECTIONS, 1);
    let open = 0;
    for (const control of this.controls) open += Atomics.load(control, FrontControl.CONNECTIONS);
    if (open > most) {
      this.remove();
      return false;
    }
    Atomics.add(this.own, FrontControl.ACCEPTED, 1);
    return true;
  }

  /** One was closed. */
  remove(): void {
    Atomics.sub(this.own, FrontControl.CONNECTIONS, 1);
  }
}
