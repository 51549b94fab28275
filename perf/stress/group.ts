import type { Connection } from '../load/connection.ts';
import type { Stream } from './scenario.ts';

/** Lots of an open loop are due so far apart, ms. */
const LOT_MS = 0.5;
/** A connection whose client has so many bytes that the kernel does not take is passed by: what is due waits. */
const MOST_UNSENT_BYTES = 1 << 20;

/** One client. */
export class Lane {
  readonly index: number;
  readonly group: Group;
  /** Undefined while it is broken. */
  connection: Connection | undefined;
  /** Commands. */
  inFlight = 0;

  constructor(index: number, group: Group) {
    this.index = index;
    this.group = group;
  }
}

/** The clients of one stream, and its schedule. Times are ms since the run's start. */
export class Group {
  readonly stream: Stream;
  readonly lanes: Lane[] = [];
  /** HOLDs due a second; 0 for a closed loop. */
  readonly rate: number;
  /** HOLDs due, sent and answered. */
  offered = 0;
  sent = 0;
  answered = 0;
  begun = false;
  private cuts = 0;
  private next = 0;
  private readonly fromMs: number;
  private readonly toMs: number;

  constructor(stream: Stream, lengthMs: number) {
    this.stream = stream;
    this.rate = stream.ratePerSecond ?? 0;
    this.fromMs = (stream.from ?? 0) * lengthMs;
    this.toMs = (stream.to ?? 1) * lengthMs;
  }

  isOn(nowMs: number): boolean {
    return nowMs >= this.fromMs && nowMs <= this.toMs;
  }

  /** How many are due by a time, in whole lots. */
  dueBy(nowMs: number): number {
    const lots = Math.floor((nowMs - this.fromMs) / LOT_MS);
    return Math.min(
      this.stream.holds ?? Number.POSITIVE_INFINITY,
      Math.floor((lots * LOT_MS * this.rate) / 1000),
    );
  }

  /** When so many are due: the schedule is fixed, whatever became of those before. */
  dueMs(count: number): number {
    return this.fromMs + Math.ceil((count * 1000) / this.rate / LOT_MS) * LOT_MS;
  }

  /** The next client, in turn, who can send; undefined when none can. */
  nextReady(): Lane | undefined {
    const { lanes } = this;
    for (let tried = 0; tried < lanes.length; tried++) {
      const lane = lanes[this.next] as Lane;
      this.next = this.next + 1 < lanes.length ? this.next + 1 : 0;
      if (lane.connection !== undefined && lane.connection.unsentBytes < MOST_UNSENT_BYTES) return lane;
    }
    return undefined;
  }

  /** Connections to be cut that were not due when this was asked last. */
  cutsDue(nowMs: number): number {
    const due = Math.floor(((this.stream.cutsPerSecond ?? 0) * (nowMs - this.fromMs)) / 1000);
    const more = due - this.cuts;
    this.cuts = due;
    return more;
  }
}
