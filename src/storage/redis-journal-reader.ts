import { checkEntry, entryChecksum } from './redis-entries.ts';
import { segmentKeys } from './redis-keys.ts';
import type { RedisLink } from './redis-link.ts';
import {
  type JournalBatch,
  type JournalCheck,
  type JournalReader,
  type RunClock,
  StoreError,
} from './store.ts';

/** Entries of the first page of a stream, and bytes that later ones aim at. */
const FIRST_COUNT = 16;
const PAGE_BYTES = 1 << 20;
const MAX_COUNT = 4096;
/** Segments whose pages are under way at once. */
const SEGMENTS_AT_ONCE = 4;

/** Where the journal ended at the check, for the writer: each array has a number for each segment. */
export interface RedisJournalEnd {
  readonly heads: Float64Array;
  readonly trimmed: Float64Array;
  readonly bytes: Float64Array;
}

type Page = [id: Buffer, fields: [name: Buffer, events: Buffer, next?: Buffer, checksum?: Buffer]][];

/** A walk along one segment's stream. */
interface Walk {
  readonly segment: number;
  /** LSN of the last event in the stream, and up to which events have been trimmed away. */
  readonly head: number;
  readonly trimmed: number;
  readonly after: number;
  /** LSN of the last event read. */
  last: number;
  entries: number;
  bytes: number;
}

/**
 * Reads streams page by page, a few segments at a time. Each walk ends where its stream ended when it began, so it can run beside a
 * writer.
 */
export class RedisJournalReader implements JournalReader {
  readonly #link: RedisLink;
  readonly #prefix: string;

  constructor(link: RedisLink, prefix: string) {
    this.#link = link;
    this.#prefix = prefix;
  }

  async *batches(
    segments: ReadonlySet<number>,
    after: (segment: number) => number,
  ): AsyncGenerator<JournalBatch> {
    for await (const { batch } of this.#pages([...segments], after)) yield batch;
  }

  /** Walks everything that there is of a journal of so many segments. */
  async check(segments: number, lastRun: RunClock | undefined): Promise<JournalCheck> {
    const end: RedisJournalEnd = {
      heads: new Float64Array(segments),
      trimmed: new Float64Array(segments),
      bytes: new Float64Array(segments),
    };
    const note = (walk: Walk): void => {
      end.heads[walk.segment] = walk.head;
      end.trimmed[walk.segment] = walk.trimmed;
      end.bytes[walk.segment] = walk.bytes;
    };
    let batches = 0;
    let bytes = 0;
    const numbers = Array.from({ length: segments }, (_, segment) => segment);
    for await (const { batch } of this.#pages(numbers, undefined, note)) {
      batches++;
      bytes += batch.bytes.length;
    }
    return { batches, bytes, torn: undefined, lastRun, end };
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  /**
   * Pages in the order of each segment, with the next one of it already asked for. Without `after`, each walk begins with the first event that
   * was not trimmed away.
   */
  async *#pages(
    segments: readonly number[],
    after: ((segment: number) => number) | undefined,
    onEnd: (walk: Walk) => void = () => {},
  ): AsyncGenerator<{ batch: JournalBatch }> {
    const waiting = [...segments].reverse();
    const underWay: { walk: Promise<Walk>; page: Promise<Page> }[] = [];
    const begin = (): void => {
      const segment = waiting.pop();
      if (segment === undefined) return;
      const walk = this.#begin(segment, after);
      underWay.push(handled({ walk, page: walk.then((begun) => this.#read(begun, FIRST_COUNT)) }));
    };
    for (let i = 0; i < SEGMENTS_AT_ONCE; i++) begin();
    for (let next = underWay.shift(); next !== undefined; next = underWay.shift()) {
      const walk = await next.walk;
      const page = await next.page;
      const batch = page.length === 0 ? undefined : this.#join(walk, page);
      if (walk.last < walk.head && batch !== undefined) {
        const count = Math.round(PAGE_BYTES / (walk.bytes / walk.entries));
        underWay.push(
          handled({ walk: next.walk, page: this.#read(walk, Math.min(Math.max(count, 1), MAX_COUNT)) }),
        );
      } else {
        this.#finish(walk);
        onEnd(walk);
        begin();
      }
      if (batch !== undefined) yield { batch };
    }
  }

  async #begin(segment: number, after: ((segment: number) => number) | undefined): Promise<Walk> {
    const { state } = segmentKeys(this.#prefix, segment);
    const [head, trimmed] = await this.#link.ask(() => this.#link.client.hmget(state, 'head', 'trimmed'));
    if (head == null || trimmed == null) throw this.#corrupt(`${state} is gone`);
    // What was trimmed away is nowhere; whoever still needed it sees the gap in the LSNs.
    const from = Math.max(after?.(segment) ?? 0, Number(trimmed));
    return {
      segment,
      head: Number(head),
      trimmed: Number(trimmed),
      after: from,
      last: from,
      entries: 0,
      bytes: 0,
    };
  }

  async #read({ segment, head, last }: Walk, count: number): Promise<Page> {
    if (last >= head) return [];
    const { journal } = segmentKeys(this.#prefix, segment);
    const answer = await this.#link.ask(() =>
      this.#link.client.xrangeBuffer(journal, `${last + 1}-0`, `${head}-0`, 'COUNT', count),
    );
    return answer as unknown as Page;
  }

  /** The entries of a page one behind the other, each checked on the way. */
  #join(walk: Walk, page: Page): JournalBatch {
    const { journal } = segmentKeys(this.#prefix, walk.segment);
    const bytes = new Uint8Array(page.reduce((sum, [, [, events]]) => sum + events.length, 0));
    const i32 = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
    let to = 0;
    for (const [id, [, events, , checksum]] of page) {
      const from = to;
      bytes.set(events, from);
      to += events.length;
      const last = Number(/^(\d+)-0$/.exec(id.toString('latin1'))?.[1] ?? Number.NaN);
      const damaged =
        events.length % 8 !== 0 ||
        checksum?.toString('latin1') !== entryChecksum(i32, from >> 2, events.length >> 2);
      const check = damaged
        ? { first: 0, problem: 'other bytes than were written' }
        : checkEntry(i32, from >> 2, to >> 2, walk.segment, last);
      if (check.problem !== undefined) {
        throw this.#corrupt(`${journal} has, in its entry ${id.toString('latin1')}, ${check.problem}`);
      }
      // Only the first entry may begin before the point to read from.
      const fits = walk.entries === 0 ? check.first <= walk.last + 1 : check.first === walk.last + 1;
      if (!fits) {
        throw this.#corrupt(
          `${journal} lacks events behind LSN ${walk.last}: its entry ${id} begins with ${check.first}`,
        );
      }
      walk.last = last;
      walk.entries++;
      walk.bytes += events.length;
    }
    return { bytes, file: 0, where: `${journal}, entries ${page[0]?.[0]} to ${page.at(-1)?.[0]}` };
  }

  #finish({ segment, head, last, after, trimmed }: Walk): void {
    const { journal } = segmentKeys(this.#prefix, segment);
    if (last !== head)
      throw this.#corrupt(
        `${journal} ends at LSN ${Math.min(last, head)} instead of ${Math.max(head, after)}`,
      );
    if (trimmed > head)
      throw this.#corrupt(`${journal} ends at LSN ${head} and was trimmed up to ${trimmed}`);
  }

  #corrupt(what: string): StoreError {
    return new StoreError('CORRUPT', `In ${this.#link.label}, ${what}. Restore Redis from its own backup.`);
  }
}

/** The answers of pages that nobody comes to any more, after an error in another, are errors of nobody. */
function handled<T extends { walk: Promise<Walk>; page: Promise<Page> }>(next: T): T {
  next.walk.catch(() => {});
  next.page.catch(() => {});
  return next;
}
