import { OP_CHANGES } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Segment } from '../../src/core/segment.ts';
import type { EngineMemory } from '../../src/shard/memory.ts';
import type { Recovery, SegmentRecovery } from '../../src/storage/recovery.ts';
import { differences } from './compare.ts';
import { Judge } from './judge.ts';
import type { Sent } from './session.ts';

/** Answers that tell nothing of what is stored: who gets one tries again, or asks. */
const EMPTY_ANSWERS: readonly unknown[] = [Status.BUSY, Status.UNAVAILABLE, Status.UNKNOWN_OUTCOME];

/** Holds what a server knows again after its end against what its clients were told before. */
export class DurableJudge extends Judge {
  /** Whether what clients read may be of changes that are yet to become durable: replies pass others while the store stands still. */
  readsAhead = false;
  /** Whether everything that was told is there after a recovery. */
  lasting = true;
  /** Whether everything that happened is, also what was told to no one. */
  complete = false;

  /** Another run of the server: every segment is as a recovery found it, in this memory. */
  served(memory: EngineMemory, { segments }: Recovery): void {
    this.turnTo(memory);
    for (const found of segments) this.restored(found);
  }

  /** A segment that a thread died over is as its journal tells: with all that was whole before. */
  rebuilt(found: SegmentRecovery): void {
    const { whole } = this.histories[found.segment];
    if (found.lsn !== whole)
      this.violate(
        'lost',
        `segment ${found.segment} was rebuilt up to LSN ${found.lsn}, and was whole up to ${whole}`,
      );
    this.restored(found);
    this.count(found.snapshotLsn > 0 ? 'rebuilt-from-snapshot' : 'rebuilt-from-journal');
  }

  protected override learn(sent: Sent, answer: readonly unknown[]): void {
    const changes = OP_CHANGES[sent.command.op];
    if (changes && sent.lsn !== undefined && !EMPTY_ANSWERS.includes(answer[0])) {
      this.histories[sent.command.segment].tell(sent.lsn);
    }
    // What is only read is promised to no one.
    if (changes || !this.readsAhead) super.learn(sent, answer);
  }

  private restored(found: SegmentRecovery): void {
    const { segment: number, lsn, timeMs, violations } = found;
    const history = this.histories[number];
    if (lsn < history.told && this.lasting)
      this.violate('lost', `segment ${number} ends at LSN ${lsn}, and clients were told of ${history.told}`);
    if (lsn < history.lsn && this.complete)
      this.violate('lost', `segment ${number} ends at LSN ${lsn}, and was closed at ${history.lsn}`);
    if (lsn > history.lsn)
      this.violate('restored', `segment ${number} ends at LSN ${lsn}, and ${history.lsn} was the last`);
    for (const what of violations) this.violate('I1', what);
    if (lsn < history.lsn) this.count('unacknowledged-lost');
    else if (lsn > history.told) this.count('unacknowledged-kept');
    this.models[number] = history.backTo(lsn);
    // A snapshot knows of a time at which nothing changed.
    this.models[number].advance(timeMs);
    const segment = new Segment(number, this.memory.segmentOptions, this.memory.segments[number]);
    for (const what of differences(segment, this.models[number])) this.violate('restored', what);
  }
}
