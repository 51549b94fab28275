import { microClock, monotonicMs } from '../base/clock.ts';
import { EVENT_HEAD_BYTES, eventBytes, eventLsns } from '../core/events.ts';
import { RingConsumer } from '../ring/consumer.ts';
import { Doorbell } from '../ring/doorbell.ts';
import { add, ThreadCell, threadCounters } from '../shard/counters.ts';
import { readLevels } from '../shard/levels.ts';
import {
  durableWord,
  type EngineMemory,
  frontDoorbells,
  StorageControl,
  storageControlOf,
} from '../shard/memory.ts';
import { Publications } from '../shard/stage-memory.ts';
import { failpoint } from './failpoints.ts';
import type { JournalWriter } from './store.ts';

/** Bytes that one ring may add to a group: some twenty thousand holds, so that no group makes the others wait for long. */
const GROUP_BYTES = 1 << 20;

/**
 * The steps of a group commit: take whatever events wait, from every worker; have the writer make them durable; publish up to where
 * each worker's are. The next group is what came meanwhile, so groups are as large as the load makes them.
 */
export class GroupCommit {
  readonly doorbell: Doorbell;
  /** Groups published so far. */
  groups = 0;
  private readonly control: Int32Array;
  private readonly fronts: readonly Doorbell[];
  private readonly rings: readonly RingConsumer[];
  private readonly publications: Publications;
  private readonly clock = microClock();
  private readonly writer: JournalWriter;
  private readonly cells: Float64Array;
  private gatheredChanges = 0;
  private gatheredBytes = 0;

  constructor(memory: EngineMemory, writer: JournalWriter) {
    const { storage } = memory;
    if (storage === undefined) throw new Error('an engine without a store commits nothing');
    this.writer = writer;
    this.cells = threadCounters(memory.counters, 'storage');
    // What was restored is durable.
    this.cells[ThreadCell.CHANGES] = readLevels(memory).changes;
    this.control = storageControlOf(storage);
    this.doorbell = new Doorbell(storage.control, StorageControl.DOORBELL * 4);
    this.fronts = frontDoorbells(memory);
    this.publications = new Publications(memory.stages);
    this.rings = memory.workers.map((own) => new RingConsumer(own.sab, own.events, own.eventRingBytes));
  }

  /** Whether the control block asks the storage thread to end. */
  get stopping(): boolean {
    return Atomics.load(this.control, StorageControl.STOP) !== 0;
  }

  /** Whether events wait. */
  waiting(): boolean {
    for (let i = 0; i < this.rings.length; i++) {
      if ((this.rings[i] as RingConsumer).fill() > 0) return true;
    }
    return false;
  }

  /** Adds what waits to the writer's group. Returns how many bytes that were. */
  gather(): number {
    let bytes = 0;
    for (let i = 0; i < this.rings.length; i++) bytes += this.gatherRing(this.rings[i] as RingConsumer);
    if (bytes > 0) this.cells[ThreadCell.COMMITTING_SINCE] = monotonicMs();
    this.gatheredBytes = bytes;
    return bytes;
  }

  /** The group that was gathered last is durable: tells the fronts, which send the replies that waited for it. */
  publish(): void {
    const { control, rings, publications } = this;
    failpoint('acknowledge.before');
    publications.begin(this.clock());
    for (let worker = 0; worker < rings.length; worker++) {
      const { position } = rings[worker] as RingConsumer;
      publications.note(worker, position);
      Atomics.store(control, durableWord(worker), position);
    }
    this.groups++;
    this.count();
    control[StorageControl.GROUPS] = this.groups | 0;
    control[StorageControl.JOURNAL_KIB] = this.writer.bytes / 1024;
    for (const front of this.fronts) front.ring();
    failpoint('acknowledge.after');
  }

  private count(): void {
    const { cells } = this;
    add(cells, ThreadCell.GROUPS, 1);
    add(cells, ThreadCell.CHANGES, this.gatheredChanges);
    add(cells, ThreadCell.BYTES, this.gatheredBytes);
    cells[ThreadCell.COMMITTING_SINCE] = 0;
    this.gatheredChanges = 0;
  }

  /** In as few lots as lie together. Gives the ring's room back, since the writer has copied what it got. */
  private gatherRing(ring: RingConsumer): number {
    let first = 0;
    let end = 0;
    let bytes = 0;
    while (bytes < GROUP_BYTES) {
      const at = ring.next();
      if (at < 0) break;
      const start = at - EVENT_HEAD_BYTES;
      if (start !== end) {
        if (end > first) this.writer.add(ring.u8, first, end);
        first = start;
      }
      end = start + eventBytes(ring.length);
      this.gatheredChanges += eventLsns(ring.i32, start >> 2);
      bytes += end - start;
    }
    if (end > first) this.writer.add(ring.u8, first, end);
    if (bytes > 0) ring.release();
    return bytes;
  }
}
