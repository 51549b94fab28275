import { HoldState } from '../../protocol/ops.ts';
import type { Segment } from '../../src/core/segment.ts';
import { decodeAll } from '../../src/front/message.ts';
import { LANES } from '../../src/shard/lanes.ts';
import { Control, Lease } from '../../src/shard/memory.ts';
import { REPLY_HEAD_BYTES } from '../../src/shard/records.ts';
import type { Shard } from '../../src/shard/shard.ts';
import type { ShardLink } from '../../src/shard/shard-link.ts';
import type { LanePair } from './lines.ts';

/** The rings between a worker and a front. */
export interface RingPair {
  readonly worker: number;
  readonly front: number;
}

/** What there is to see of a shard's work, at the moment when it happens. */
export interface Observer {
  /** A command was applied, or refused by who took over from a dead thread, and its reply written whole, though not published yet. */
  answered(line: LanePair, tag: number, reply: unknown[], now: number, refused: boolean): void;
  /** A segment was told the time, outside of commands. */
  advanced(segment: number, now: number): void;
  /** That is over, with all that it changed. */
  wholeAgain(segment: number): void;
  /** A segment ended the hold in a slot because its deadline came; `now` is the time of the command that brought it to light, or 0. */
  expired(segment: number, slot: number, now: number): void;
  /** Replies were published and the room of their commands in a lane given back. */
  published(line: LanePair): void;
  /**
   * Somebody took over from a dead thread. The segment that was fenced off and the one that the death had struck, or -1; and
   * whether it had struck in a command, which then is answered on the dead thread's behalf.
   */
  adopted(worker: number, fenced: number, struck: number, inCommand: boolean): void;
}

/** Death of a thread in the middle of what it does. */
export class Death extends Error {}

/**
 * A thread dies where it is told to: at the n-th change of a table within a command or within an expiry, between a
 * command's last change and its reply, before a batch is published, or between the two halves of the publication.
 */
export interface Bomb {
  place: 'command' | 'expiry' | 'reply' | 'batch' | 'publish';
  /** Changes of tables that still succeed. */
  countdown: number;
}

/** One worker's work as seen and disturbed from outside, whichever Shard object does it: the thread's, a later thread's, or the front's. */
export class Tap {
  bomb: Bomb | undefined;
  /** Segment that a death struck in the middle of a change, or -1. */
  struck = -1;
  private struckCommand = false;
  private readonly worker: number;
  private readonly observer: Observer;
  private readonly count: (what: string) => void;
  private now = 0;
  private adopting = false;

  constructor(worker: number, observer: Observer, count: (what: string) => void) {
    this.worker = worker;
    this.observer = observer;
    this.count = count;
  }

  /** Puts taps on a shard's methods. The object does all that it did before. */
  watch(shard: Shard): Shard {
    replace(shard, 'runCommands', (run) => (nowMs, most) => {
      this.now = nowMs;
      try {
        return run(nowMs, most);
      } catch (error) {
        if (isPlanted(error)) {
          this.struck = markedSegment(shard);
          this.struckCommand = true;
          this.count('death-before-command');
        }
        throw error;
      }
    });
    replace(shard, 'adopt', (adopt) => (as) => {
      this.bomb = undefined;
      this.adopting = true;
      const fenced = adopt(as);
      this.adopting = false;
      this.observer.adopted(this.worker, fenced, this.struck, this.struckCommand);
      this.struck = -1;
      this.struckCommand = false;
      return fenced;
    });
    for (const link of shard.links) this.watchLink(link, shard);
    const watched = new Map<number, Segment>();
    replace(shard, 'segmentAt', (segmentAt) => (number) => {
      let segment = watched.get(number);
      if (segment === undefined) {
        segment = this.watchSegment(segmentAt(number), shard);
        watched.set(number, segment);
      }
      return segment;
    });
    return shard;
  }

  private watchLink({ front, replies, queues }: ShardLink, shard: Shard): void {
    const pair = { worker: this.worker, front };
    let start = 0;
    let tag = 0;
    replace(replies, 'claim', (claim) => (bytes, forTag) => {
      tag = forTag;
      start = claim(bytes, forTag);
      return start;
    });
    replace(replies, 'trim', (trim) => (bytes) => {
      if (this.goesOff('reply')) this.die('after-command', markedSegment(shard));
      trim(bytes);
      const [reply] = decodeAll(replies.u8.slice(start + REPLY_HEAD_BYTES, start + bytes));
      const lane = shard.control[Control.MARK_QUEUE] % LANES;
      this.observer.answered({ ...pair, lane }, tag, reply as unknown[], this.now, this.adopting);
    });
    // The front's own death here would be the process's.
    const byWorker = (): boolean => shard.control[Control.LEASE] === Lease.WORKER;
    replace(replies, 'publish', (publish) => () => {
      if (byWorker() && replies.unpublished && this.goesOff('batch')) this.die('unpublished', -1);
      publish();
    });
    for (const { ring, lane } of queues) {
      replace(ring, 'release', (release) => () => {
        if (byWorker() && this.goesOff('publish')) this.die('in-publish', -1);
        release();
        this.observer.published({ ...pair, lane });
      });
    }
  }

  private watchSegment(segment: Segment, shard: Shard): Segment {
    const { number } = segment;
    replace(segment, 'advance', (advance) => (at, budget) => {
      this.observer.advanced(number, at);
      const done = advance(at, budget);
      this.observer.wholeAgain(number);
      return done;
    });
    // Protected, and the one place at which a hold ends. In a command, the segment has just been told the command's time.
    replace(segment as unknown as { close(...args: unknown[]): void }, 'close', (close) => (...args) => {
      const inCommand = shard.control[Control.MARK] > 0;
      if (args[1] === HoldState.EXPIRED) {
        this.observer.expired(number, args[0] as number, inCommand ? this.now : 0);
      }
      close(...args);
    });
    const changed = (): void => {
      const place = shard.control[Control.MARK] < 0 ? 'expiry' : 'command';
      if (this.goesOff(place)) this.die(`in-${place}`, number);
    };
    for (const [table, names] of [
      [segment.wheel, ['add', 'remove']],
      [segment.piles, ['add', 'remove']],
      [segment.holds, ['take', 'end']],
      [segment.keys, ['add', 'retire']],
      [segment.holders, ['add', 'change']],
      [segment.skus, ['add']],
    ] as unknown as [Record<string, (...args: unknown[]) => unknown>, string[]][]) {
      for (const name of names) {
        replace(table, name, (change) => (...args) => {
          changed();
          return change(...args);
        });
      }
    }
    return segment;
  }

  /** Whether a bomb of this place goes off now. */
  private goesOff(place: Bomb['place']): boolean {
    const { bomb } = this;
    if (bomb === undefined || bomb.place !== place || bomb.countdown-- > 0) return false;
    this.bomb = undefined;
    return true;
  }

  private die(where: string, segment: number): never {
    this.count(`death-${where}`);
    this.struck = segment;
    this.struckCommand = where.endsWith('-command');
    throw new Death();
  }
}

/** Whether an error comes from a fault that was planted in a worker's control block. */
export function isPlanted(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('planted fault');
}

/** Segment whose change is marked in the control block, or -1. */
function markedSegment(shard: Shard): number {
  return Math.abs(shard.control[Control.MARK]) - 1;
}

type Methods<Host, Name extends keyof Host> = Host[Name] extends (...args: infer Args) => infer Result
  ? (...args: Args) => Result
  : never;

/** Puts another function in the place of an object's method; it is given the one that was there. */
export function replace<Host extends object, Name extends keyof Host>(
  host: Host,
  name: Name,
  make: (original: Methods<Host, Name>) => Methods<Host, Name>,
): void {
  const original = (host[name] as Methods<Host, Name>).bind(host) as Methods<Host, Name>;
  host[name] = make(original) as Host[Name];
}
