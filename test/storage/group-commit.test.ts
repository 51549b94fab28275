import { describe, expect, it } from 'vitest';
import { RingProducer } from '../../src/ring/producer.ts';
import {
  durableWord,
  type EngineMemory,
  frontDoorbells,
  StorageControl,
  storageControlOf,
} from '../../src/shard/memory.ts';
import { GroupCommit } from '../../src/storage/group-commit.ts';
import { runStorage } from '../../src/storage/storage-loop.ts';
import { type JournalWriter, StoreError } from '../../src/storage/store.ts';
import { makeMemory } from '../front/fixtures.ts';

/** A writer that keeps what it gets, group by group, and fails when the test says so. */
class KeepingWriter implements JournalWriter {
  readonly groups: number[][] = [];
  readonly bytes = 0;
  readonly position = 0;
  failures: (StoreError | Error)[] = [];
  onCommit: () => void = () => {};
  private group: number[] = [];

  add(u8: Uint8Array, start: number, end: number): void {
    // The first word behind an event's head tells the tests' events apart.
    const bytes = u8.slice(start, end);
    const words = new Int32Array(bytes.buffer);
    for (let at = 0; at < words.length; at += ((8 + words[at] + 7) >> 3) << 1) this.group.push(words[at + 2]);
  }

  commit(): Promise<void> | undefined {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.onCommit();
    this.groups.push(this.group);
    this.group = [];
    return undefined;
  }

  trim(): undefined {}

  async close(): Promise<void> {}
}

function setUp(workers = 2) {
  const memory = makeMemory({ fronts: 2, workers, events: { ringBytes: 65_536, gated: true } });
  const writer = new KeepingWriter();
  const rings = memory.workers.map((own) => new RingProducer(own.sab, own.events, own.eventRingBytes));
  const emit = (worker: number, ...values: number[]) => {
    for (const value of values) {
      const at = rings[worker].claim(4 + 8 * (value % 3), 1);
      if (at < 0) throw new Error('the ring is full');
      rings[worker].i32[at >> 2] = value;
    }
    rings[worker].publish();
  };
  return { memory, writer, rings, emit, control: storage(memory) };
}

function storage(memory: EngineMemory): Int32Array {
  if (memory.storage === undefined) throw new Error('there is a store');
  return storageControlOf(memory.storage);
}

describe('a group', () => {
  it('is what waits in every ring, and is published only when it was committed', () => {
    const { memory, writer, rings, emit, control } = setUp();
    const group = new GroupCommit(memory, writer);
    expect(group.gather()).toBe(0);
    emit(0, 1, 2);
    emit(1, 3);
    expect(group.waiting()).toBe(true);
    expect(group.gather()).toBeGreaterThan(0);
    expect(group.waiting()).toBe(false);
    expect([0, 1].map((worker) => control[durableWord(worker)])).toEqual([0, 0]);
    writer.commit();
    emit(0, 4);
    const before = rings[1].position;
    group.publish();
    expect(writer.groups).toEqual([[1, 2, 3]]);
    expect(control[durableWord(1)]).toBe(before);
    expect(control[durableWord(0)]).toBeLessThan(rings[0].position);
  });

  it('wakes every front when it is published', () => {
    const { memory, writer, emit } = setUp();
    const group = new GroupCommit(memory, writer);
    const fronts = frontDoorbells(memory);
    expect(fronts).toHaveLength(2);
    for (const front of fronts) void front.sleepAsync(60_000, () => false);
    emit(0, 1);
    group.gather();
    expect(fronts.map((front) => front.isSleeping())).toEqual([true, true]);
    group.publish();
    expect(fronts.map((front) => front.isSleeping())).toEqual([false, false]);
  });

  it('loses and doubles nothing over many turns of the ring, whose end events do not cross', () => {
    const { memory, writer, emit } = setUp(1);
    const group = new GroupCommit(memory, writer);
    const sent: number[] = [];
    for (let value = 1; value <= 30_000; ) {
      for (let i = 0; i < 1 + ((value * 7) % 997) && value <= 30_000; i++) {
        emit(0, value);
        sent.push(value++);
      }
      group.gather();
      writer.commit();
      group.publish();
    }
    expect(writer.groups.flat()).toEqual(sent);
  });
});

describe('the storage loop', () => {
  it('ends when it is told to, with everything committed that waited', async () => {
    const { memory, writer, rings, emit, control } = setUp();
    emit(0, 1, 2, 3);
    emit(1, 4);
    Atomics.store(control, StorageControl.STOP, 1);
    await runStorage({ memory, writer, onTrouble: () => expect.unreachable() });
    expect(writer.groups.flat()).toEqual([1, 2, 3, 4]);
    expect([0, 1].map((worker) => control[durableWord(worker)])).toEqual(rings.map((ring) => ring.position));
  });

  it('keeps a group that the store does not take, publishes nothing meanwhile, and says so once', async () => {
    const { memory, writer, emit, control } = setUp();
    emit(0, 1, 2);
    Atomics.store(control, StorageControl.STOP, 1);
    writer.failures = [
      new StoreError('FULL', 'the disk is full'),
      new StoreError('FULL', 'the disk is full'),
    ];
    const told: (string | undefined)[] = [];
    const published: number[] = [];
    writer.onCommit = () => published.push(control[durableWord(0)]);
    await runStorage({ memory, writer, onTrouble: (problem) => told.push(problem?.message) });
    expect(told).toEqual(['the disk is full', undefined]);
    expect(published).toEqual([0]);
    expect(writer.groups.flat()).toEqual([1, 2]);
  });

  it.each([new StoreError('FAILED', 'fdatasync: EIO'), new Error('a bug')])(
    'ends with %s, for good',
    async (failure) => {
      const { memory, writer, emit, control } = setUp();
      emit(0, 1);
      writer.failures = [failure];
      await expect(runStorage({ memory, writer, onTrouble: () => expect.unreachable() })).rejects.toThrow(
        failure,
      );
      expect(control[durableWord(0)]).toBe(0);
    },
  );
});
