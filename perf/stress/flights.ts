import { FIRST_REQUEST_ID } from '../load/frames.ts';

/** Commands under way in one thread, by request id. A place is used again when its command is answered or given up. */
export class Flights {
  /** When each was due, ms since the run's start; what it was (0: nothing is under way), of which SKU and connection. */
  readonly dueMs: Float64Array;
  readonly op: Uint8Array;
  readonly sku: Int32Array;
  readonly lane: Int32Array;
  /** Of what ends a hold: the hold's deadline, server's time. */
  readonly deadlineMs: Float64Array;
  count = 0;
  private next = 0;
  private readonly mask: number;

  /** @param places a power of two */
  constructor(places: number) {
    this.mask = places - 1;
    this.dueMs = new Float64Array(places);
    this.op = new Uint8Array(places);
    this.sku = new Int32Array(places);
    this.lane = new Int32Array(places);
    this.deadlineMs = new Float64Array(places);
  }

  /** Whether `count` more find room. Places go round, so one command that is never answered can hold up the others. */
  hasRoom(count: number): boolean {
    if (this.count + count > this.mask) return false;
    for (let i = 0; i < count; i++) if (this.op[(this.next + i) & this.mask] !== 0) return false;
    return true;
  }

  /** Notes a command, for which there is room, and returns its request id. */
  add(op: number, sku: number, lane: number, dueMs: number, deadlineMs: number): number {
    const at = this.next & this.mask;
    this.op[at] = op;
    this.sku[at] = sku;
    this.lane[at] = lane;
    this.dueMs[at] = dueMs;
    this.deadlineMs[at] = deadlineMs;
    this.count++;
    return FIRST_REQUEST_ID + this.next++;
  }

  /** Place of the command that a reply names. Throws when there is none. */
  placeOf(id: number): number {
    const at = (id - FIRST_REQUEST_ID) & this.mask;
    if (id < FIRST_REQUEST_ID || this.op[at] === 0) throw new Error(`a reply to ${id}, which was not asked`);
    return at;
  }

  /** Frees a place. */
  remove(at: number): void {
    this.op[at] = 0;
    this.count--;
  }

  /** Frees all places of a connection, or of all (-1), after `each` was called for them. */
  giveUp(lane: number, each: (at: number) => void): void {
    let left = this.count;
    for (let back = 1; left > 0 && back <= this.mask + 1; back++) {
      const at = (this.next - back) & this.mask;
      if (this.op[at] === 0) continue;
      left--;
      if (lane >= 0 && this.lane[at] !== lane) continue;
      each(at);
      this.remove(at);
    }
  }
}
