import type { SegmentModel } from './model.ts';

/** What a segment's journal can tell of: one change of state. */
interface Change {
  readonly lsn: number;
  readonly redo: (model: SegmentModel) => void;
}

/**
 * All changes of a segment in their order, so that its model can be taken back to any of them: that is where a recovery may end, no
 * earlier than at what a client was told, and no later than at what ever happened.
 */
export class SegmentHistory {
  /** LSN of the last change, of the last one by a command or an expiry that was done whole, and of the last one that a client was told of. */
  lsn = 0;
  whole = 0;
  told = 0;
  private readonly changes: Change[] = [];
  private readonly make: () => SegmentModel;

  /** @param make gives the model of a segment that is empty */
  constructor(make: () => SegmentModel) {
    this.make = make;
  }

  add(redo: (model: SegmentModel) => void): void {
    this.lsn++;
    this.changes.push({ lsn: this.lsn, redo });
  }

  /** A client was told of the segment as it was at an LSN. */
  tell(lsn: number): void {
    this.told = Math.max(this.told, lsn);
  }

  /** Forgets what came after an LSN. Returns the segment's model as it was then. */
  backTo(lsn: number): SegmentModel {
    while ((this.changes.at(-1)?.lsn ?? 0) > lsn) this.changes.pop();
    this.lsn = lsn;
    this.whole = lsn;
    const model = this.make();
    for (const { redo } of this.changes) redo(model);
    return model;
  }
}
