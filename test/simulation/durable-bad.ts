import { HoldState, Op } from '../../protocol/ops.ts';
import { Event, EventType, eventBytes, eventType } from '../../src/core/events.ts';
import type { Segment } from '../../src/core/segment.ts';
import { GATED, infoOp } from '../../src/shard/records.ts';
import type { Shard } from '../../src/shard/shard.ts';
import { FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FrameType } from '../../src/storage/file-frames.ts';
import type { JournalBatch, JournalCheck, JournalReader } from '../../src/storage/store.ts';
import type { SimMachine } from './disk.ts';
import type { DurableMutation } from './durable.ts';
import { inSegments, replaceAny } from './known-bad.ts';
import { replace } from './tap.ts';

/** A mistake that a server with a store could make, and what the judge has to call it. */
export interface DurableBad extends DurableMutation {
  readonly name: string;
  /** Kinds of violation of which one has to be found. */
  readonly kinds: readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: reaches into what is private, where the mistakes would be made.
type Inside = any;

/** Servers that do wrong on purpose. A loss that shows at the start, by a store that contradicts itself, is found as well. */
export const DURABLE_BAD: readonly DurableBad[] = [
  {
    name: 'a group is acknowledged before it is synced',
    kinds: ['lost'],
    machine: (machine) => machine.ignore('fdatasync', /journal/),
  },
  {
    name: 'a group is acknowledged before it is synced, and only the clients see it',
    kinds: ['I2', 'I4', 'I5', 'oversell'],
    unseen: ['lost', 'model', 'restored', 'lsn'],
    machine: (machine) => machine.ignore('fdatasync', /journal/),
  },
  {
    name: 'a group is published before it is committed',
    kinds: ['lost'],
    storage: ({ group }) => {
      replace(group, 'gather', (gather) => () => {
        const bytes = gather();
        if (bytes > 0) group.publish();
        return bytes;
      });
    },
  },
  {
    name: 'directories are not synced',
    kinds: ['lost', 'recovery', 'I2'],
    machine: (machine) => machine.ignore('syncDirectory', /./),
  },
  {
    name: 'the last event of the journal is skipped',
    kinds: ['lost', 'recovery'],
    reader: (reader) => changed(reader, withoutLast),
  },
  {
    name: 'an extension is replayed as another one',
    kinds: ['restored'],
    reader: (reader) => changed(reader, lengthenExtensions),
  },
  {
    name: 'the torn end is cut off one frame too early',
    kinds: ['lost', 'recovery'],
    check: cutTooEarly,
  },
  {
    name: 'the journal is trimmed when a copy is made, before it is a snapshot',
    kinds: ['recovery', 'lost', 'I2'],
    maintenance: (maintenance, storage) => {
      replace(
        maintenance,
        'copied',
        () =>
          ({ segment, lsn }) =>
            storage.trim(segment, lsn),
      );
    },
  },
  {
    name: 'the journal is trimmed behind the newest snapshot, which may prove damaged',
    kinds: ['recovery', 'lost'],
    maintenance: (maintenance, storage) => {
      replace(
        maintenance,
        'taken',
        () =>
          ({ lsn }, segment) =>
            storage.trim(segment, lsn),
      );
    },
  },
  {
    name: 'a snapshot is taken while the journal is behind it',
    kinds: ['recovery', 'lost', 'restored', 'journal'],
    maintenance: (maintenance) => {
      replace(maintenance, 'isDurable', () => () => true);
    },
  },
  {
    name: 'the answer to a repeated key does not wait',
    kinds: ['lost'],
    shard: (shard) => ungate(shard, (op) => op === Op.HOLD),
  },
  {
    name: 'replies to changes do not wait',
    kinds: ['lost'],
    shard: (shard) => ungate(shard, () => true),
  },
  {
    name: 'expiries are not written',
    kinds: ['recovery', 'restored', 'lost'],
    unseen: ['lsn'],
    ...inSegments((segment) => onExpiry(segment, () => {})),
  },
  {
    name: 'expiries are written twice',
    kinds: ['recovery'],
    unseen: ['lsn'],
    ...inSegments((segment) => {
      onExpiry(segment, (write) => {
        write();
        write();
      });
    }),
  },
  {
    name: 'an expiry is written before its time',
    kinds: ['recovery'],
    ...inSegments((segment) => {
      replaceAny(segment, 'currentState', (currentState, slot: number) => {
        const open = segment.holds.state(slot) === HoldState.HELD;
        if (open && !segment.holds.isOver(slot, 0) && segment.holds.isOver(slot, -2))
          (segment as Inside).expire(slot);
        return currentState(slot);
      });
    }),
    unseen: ['model', 'I5'],
  },
  {
    name: 'a rebuilt segment lacks what came after its snapshot',
    kinds: ['lost'],
    rebuildReader: (reader) => changed(reader, () => undefined),
  },
  {
    name: 'a segment is rebuilt before the journal has what the dead thread had done',
    kinds: ['lost'],
    maintenance: (maintenance) => {
      replace(maintenance, 'isWritten', () => () => true);
    },
  },
  {
    name: "the server's time begins anew",
    kinds: ['time'],
    machine: (machine) => {
      machine.clockLost = true;
    },
  },
];

/** The reader with its batches changed; a batch that becomes undefined is left out. `last` tells the last one of the journal. */
function changed(
  reader: JournalReader,
  change: (batch: JournalBatch, last: boolean) => JournalBatch | undefined,
): JournalReader {
  return {
    async *batches(segments, after) {
      let before: JournalBatch | undefined;
      for await (const batch of reader.batches(segments, after)) {
        if (before !== undefined) yield* given(change(before, false));
        before = { ...batch, bytes: batch.bytes.slice() };
      }
      if (before !== undefined) yield* given(change(before, true));
    },
    close: () => reader.close(),
  };
}

function* given<T>(one: T | undefined): Generator<T> {
  if (one !== undefined) yield one;
}

function withoutLast(batch: JournalBatch, last: boolean): JournalBatch {
  const starts = [...eventStarts(batch)];
  return last ? { ...batch, bytes: batch.bytes.subarray(0, (starts.at(-1) as number) * 4) } : batch;
}

/** Every EXTENDED by a millisecond more than was written. */
function lengthenExtensions(batch: JournalBatch): JournalBatch {
  const i32 = wordsOf(batch);
  for (const at of eventStarts(batch)) {
    if (eventType(i32[at + Event.TAG]) === EventType.EXTENDED) i32[at + Event.AMOUNT]++;
  }
  return batch;
}

function* eventStarts(batch: JournalBatch): Generator<number> {
  const i32 = wordsOf(batch);
  for (let at = 0; at < i32.length; at += eventBytes(i32[at + Event.BYTES]) >> 2) yield at;
}

function wordsOf({ bytes }: JournalBatch): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}

/** Where there is a torn end, the last whole frame with events goes, too. */
function cutTooEarly(check: JournalCheck, { layer }: SimMachine): JournalCheck {
  const end = check.end as { files: number[]; bytes: number[]; sequence: number };
  if (check.torn === undefined) return check;
  const number = String(end.files.at(-1)).padStart(20, '0');
  const bytes = layer.bytesOf(`/disk/data/journal/${number}.log`);
  const words = new DataView(bytes.buffer, bytes.byteOffset);
  let last: { at: number; sequence: number } | undefined;
  for (let at = FILE_HEADER_BYTES; at < (end.bytes.at(-1) as number); ) {
    const body = words.getInt32(at + 8, true);
    if (words.getInt32(at + 12, true) === FrameType.EVENTS)
      last = { at, sequence: words.getInt32(at + 16, true) };
    at += FRAME_HEADER_BYTES + body;
  }
  if (last === undefined) return check;
  return {
    ...check,
    end: { ...end, bytes: [...end.bytes.slice(0, -1), last.at], sequence: last.sequence - 1 },
  };
}

/** Replies to commands of some kinds leave at once. */
function ungate(shard: Shard, of: (op: number) => boolean): void {
  const [{ replies }] = shard.links;
  let start = 0;
  replace(replies, 'claim', (claim) => (bytes, tag) => {
    start = claim(bytes, tag);
    return start;
  });
  replace(replies, 'trim', (trim) => (bytes) => {
    const info = replies.i32[start >> 2];
    if (of(infoOp(info))) replies.i32[start >> 2] = info & ~GATED;
    trim(bytes);
  });
}

/** Puts something else in the place of the writing of an expiry. */
function onExpiry(segment: Segment, instead: (write: () => void) => void): void {
  const { events } = segment as Inside;
  for (const name of ['expired', 'expiredTogether']) {
    replaceAny(events, name, (write, ...args) => instead(() => write(...args)));
  }
}
