import { assert } from '../base/assert.ts';
import { Event, eventBytes, eventLsns, eventSegment } from '../core/events.ts';
import { failpoint } from './failpoints.ts';
import { entryChecksum } from './redis-entries.ts';
import type { RedisJournalEnd } from './redis-journal-reader.ts';
import { metaKeys, segmentKeys } from './redis-keys.ts';
import { ANSWER_MS, type RedisLink } from './redis-link.ts';
import { APPEND, NOTE_RUN, TRIM } from './redis-scripts.ts';
import { type JournalWriter, type StoreAddress, StoreError, type WriterOptions } from './store.ts';

/** Room that a segment's group starts with, words. It grows by doubling. */
const FIRST_WORDS = 1024;
/** How long Redis itself waits for replicas: less than for an answer, so that it can tell how many there were. */
const WAIT_MS = ANSWER_MS / 2;

/**
 * Appends groups to the streams of their segments: one entry for each segment that a group touches, all of them sent in one go. An
 * entry's id is the LSN of its last event, and the script that appends it knows where the stream ends, so sending a group again after
 * a lost answer doubles nothing, even when Redis comes to the first attempt only afterwards.
 */
export class RedisJournalWriter implements JournalWriter {
  readonly #link: RedisLink;
  readonly #address: StoreAddress;
  readonly #options: WriterOptions;
  readonly #prefix: string;
  readonly #epoch: string;
  readonly #keys: string[][];
  /** Of each segment: its events in the group and their words, the LSN of the last of them, and that before the first. */
  readonly #groups: (Int32Array | undefined)[];
  readonly #words: Int32Array;
  readonly #lsns: Float64Array;
  readonly #before: Float64Array;
  readonly #touched: Int32Array;
  #touchedCount = 0;
  /** Bytes in the stream of each segment, and the LSN up to which it was trimmed. */
  readonly #streamBytes: Float64Array;
  readonly #trimmed: Float64Array;
  #bytes = 0;
  #position = 0;
  readonly #views = new WeakMap<ArrayBufferLike, Int32Array>();
  #runNoted = false;
  #committing = false;
  /** The group was sent, and no answer says what became of it. */
  #inDoubt = false;

  constructor(link: RedisLink, prefix: string, address: StoreAddress, options: WriterOptions) {
    const { segments } = options.identity;
    this.#link = link;
    this.#address = address;
    this.#options = options;
    this.#prefix = prefix;
    this.#epoch = String(address.epoch);
    this.#keys = Array.from({ length: segments }, (_, segment) => {
      const { state, journal } = segmentKeys(prefix, segment);
      return [state, journal];
    });
    this.#groups = new Array(segments).fill(undefined);
    this.#words = new Int32Array(segments);
    this.#touched = new Int32Array(segments);
    this.#lsns = Float64Array.from(options.lsns);
    this.#before = Float64Array.from(options.lsns);
    const end = options.end as RedisJournalEnd;
    checkStart(link.label, end, options.lsns);
    this.#streamBytes = Float64Array.from(end.bytes);
    this.#trimmed = Float64Array.from(end.trimmed);
    this.#bytes = this.#streamBytes.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** After a trim, an estimate: it takes the events of a segment to be of one size. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes acknowledged so far. Readers need it not: the state of a segment says where its stream ends. */
  get position(): number {
    return this.#position;
  }

  add(u8: Uint8Array, start: number, end: number): void {
    assert(!this.#committing && !this.#inDoubt, 'a group that was sent takes no more events');
    const i32 = this.#viewOf(u8.buffer);
    const stop = (u8.byteOffset + end) >> 2;
    for (let at = (u8.byteOffset + start) >> 2; at < stop; ) {
      const words = eventBytes(i32[at + Event.BYTES] as number) >> 2;
      const segment = eventSegment(i32[at + Event.TAG] as number);
      const lsn = this.#lsns[segment] as number;
      assert(
        (i32[at + Event.LSN] as number) === ((lsn + 1) | 0),
        'events of a segment are added in the order of their LSNs',
      );
      const group = this.#room(segment, words);
      let to = this.#words[segment] as number;
      if (to === 0) this.#touched[this.#touchedCount++] = segment;
      this.#words[segment] = to + words;
      this.#lsns[segment] = lsn + eventLsns(i32, at);
      for (const next = at + words; at < next; ) group[to++] = i32[at++] as number;
    }
  }

  commit(): Promise<void> | undefined {
    assert(!this.#committing, 'one group is committed at a time');
    if (this.#touchedCount === 0) return undefined;
    this.#committing = true;
    return this.#append().finally(() => {
      this.#committing = false;
    });
  }

  /** Events up to `lsn` leave the stream as far as their whole entries do. */
  async trim(segment: number, lsn: number): Promise<void> {
    failpoint('trim.before');
    await this.#link.call(TRIM, this.#keys[segment] as string[], [this.#epoch, String(lsn)]);
    failpoint('trim.after');
    const trimmed = this.#trimmed[segment] as number;
    const head = this.#before[segment] as number;
    if (lsn <= trimmed) return;
    const kept = Math.max(0, head - lsn) / Math.max(1, head - trimmed);
    const bytes = this.#streamBytes[segment] as number;
    this.#streamBytes[segment] = bytes * kept;
    this.#bytes -= bytes - bytes * kept;
    this.#trimmed[segment] = Math.min(lsn, head);
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  async #append(): Promise<void> {
    const link = this.#link;
    await link.ready();
    failpoint('append.before');
    const { losses } = link;
    const again = this.#inDoubt;
    this.#inDoubt = true;
    const commands: Promise<unknown>[] = [];
    if (!this.#runNoted) {
      const { bootId, offsetMs } = this.#options.run;
      commands.push(
        link.run(NOTE_RUN, [metaKeys(this.#prefix).meta], [this.#epoch, bootId, String(offsetMs)]),
      );
    }
    for (let i = 0; i < this.#touchedCount; i++) commands.push(this.#appendTo(this.#touched[i] as number));
    await link.all(commands);
    failpoint('append.after');
    failpoint('sync.before');
    if (this.#address.redisWait > 0) await this.#awaitReplicas(losses);
    failpoint('sync.after');
    this.#runNoted = true;
    this.#inDoubt = false;
    this.#acknowledge(again);
  }

  #appendTo(segment: number): Promise<unknown> {
    const group = this.#groups[segment] as Int32Array;
    const words = this.#words[segment] as number;
    const bytes = Buffer.from(group.buffer, 0, words * 4);
    const before = String(this.#before[segment]);
    const last = String(this.#lsns[segment]);
    return this.#link.run(APPEND, this.#keys[segment] as string[], [
      this.#epoch,
      before,
      last,
      bytes,
      entryChecksum(group, 0, words),
    ]);
  }

  /**
   * Redis tells how many replicas have what came through this very connection. One made meanwhile knows of no write, and would say
   * that all have it: then the group is sent again.
   */
  async #awaitReplicas(losses: number): Promise<void> {
    const { redisWait } = this.#address;
    const { label } = this.#link;
    if (this.#link.losses !== losses) throw new StoreError('AWAY', `The connection to ${label} was lost.`);
    const replicas = await this.#link.ask(() => this.#link.client.wait(redisWait, WAIT_MS));
    if (this.#link.losses !== losses) throw new StoreError('AWAY', `The connection to ${label} was lost.`);
    if (replicas < redisWait) {
      throw new StoreError(
        'AWAY',
        `${replicas} of the ${redisWait} replicas that --redis-wait asks for have confirmed in ${WAIT_MS} ms, behind ${label}.`,
      );
    }
  }

  /** Empties the group. After a second attempt its memory is let go: the first may still be on its way out of it. */
  #acknowledge(again: boolean): void {
    for (let i = 0; i < this.#touchedCount; i++) {
      const segment = this.#touched[i] as number;
      const bytes = (this.#words[segment] as number) * 4;
      this.#streamBytes[segment] = (this.#streamBytes[segment] as number) + bytes;
      this.#bytes += bytes;
      this.#position += bytes;
      this.#before[segment] = this.#lsns[segment] as number;
      this.#words[segment] = 0;
      if (again) this.#groups[segment] = undefined;
    }
    this.#touchedCount = 0;
  }

  #room(segment: number, words: number): Int32Array {
    const group = this.#groups[segment];
    const used = this.#words[segment] as number;
    if (group !== undefined && used + words <= group.length) return group;
    let length = group === undefined ? FIRST_WORDS : group.length;
    while (length < used + words) length *= 2;
    const larger = new Int32Array(length);
    if (group !== undefined) larger.set(group.subarray(0, used));
    this.#groups[segment] = larger;
    return larger;
  }

  #viewOf(buffer: ArrayBufferLike): Int32Array {
    let view = this.#views.get(buffer);
    if (view === undefined) {
      view = new Int32Array(buffer, 0, buffer.byteLength >> 2);
      this.#views.set(buffer, view);
    }
    return view;
  }
}

/**
 * What was restored and what the streams end with must be the same: else events are missing that nobody noticed, since both the
 * snapshots and the entries behind them are gone.
 */
function checkStart(label: string, { heads }: RedisJournalEnd, lsns: Float64Array): void {
  const segment = heads.findIndex((head, i) => head !== lsns[i]);
  if (segment < 0) return;
  throw new StoreError(
    'CORRUPT',
    `In ${label}, the journal of segment ${segment} ends at LSN ${heads[segment]}, and what was restored ends at ${lsns[segment]}.`,
  );
}
