import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { build, type Histogram } from 'hdr-histogram-js';
import { STATUS_COUNT, Status, statusName } from '../../protocol/status.ts';
import { Connection } from './connection.ts';
import { type FrameSet, holdFrames, stampKeys } from './frames.ts';
import type { Answers } from './scanner.ts';

/** One run against one server. Times are ms. */
export interface Load {
  readonly port: number;
  readonly answers: Answers;
  readonly connections: number;
  /** Frames that a connection has under way at any time; a new one leaves when a whole frame's answers are there. */
  readonly framesInFlight: number;
  readonly commandsPerFrame: number;
  /** Frames for one connection that leave together are written together, up to so many. */
  readonly framesPerWrite: number;
  readonly skus: number;
  /** The first of them; 0 unless given. */
  readonly firstSku?: number;
  readonly ttlMs: number;
  /** Answers of this status count; those that are OK unless given. */
  readonly counts?: number;
  /** Whether each hold has an idempotency key of its own, as the SDK gives it one. */
  readonly keyed?: boolean;
  /** Runs before counting starts, so that holds end as fast as they come and the code is compiled. */
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Longest wait for the last answers. */
  readonly drainMs: number;
}

export interface LoadResult {
  /** Accepted holds (or echoed commands, or answers of the status that counts) a second in the measured window. */
  readonly commandsPerSecond: number;
  /** The whole run, warm-up and last answers included: every command sent is in one of these three. */
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly unanswered: number;
  readonly sent: number;
  /** Round trips in the measured window, µs; only of loads with one command in flight on a connection. */
  readonly latency: Latency | null;
}

export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Keeps a load on a server for a time. It is a pool task: the default export takes and returns plain data. */
export default async function generate(load: Load): Promise<LoadResult> {
  const run = new Run(load);
  try {
    await run.open();
    return await Promise.race([run.measure(), run.failure]);
  } finally {
    run.close();
  }
}

class Run {
  /** Rejects when a connection fails. */
  readonly failure: Promise<never>;
  private readonly load: Load;
  private readonly frames: FrameSet;
  private readonly lanes: Lane[] = [];
  private fail: (error: Error) => void = () => {};

  constructor(load: Load) {
    this.load = load;
    this.frames = holdFrames({ ...load, extra: load.framesInFlight });
    this.failure = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failure.catch(() => {});
  }

  async open(): Promise<void> {
    const { connections, port, answers } = this.load;
    const opening = Array.from({ length: connections }, (_, i) =>
      Connection.open({ port, answers, path: `/v1/ws?holder=bench-${i}` }),
    );
    for (const [i, outcome] of (await Promise.allSettled(opening)).entries()) {
      if (outcome.status === 'rejected') throw outcome.reason;
      const first = Math.floor((i * this.frames.frames) / connections);
      const lane = new Lane(outcome.value, this.load, this.frames, first);
      lane.connection.onFailure = this.fail;
      this.lanes.push(lane);
    }
  }

  async measure(): Promise<LoadResult> {
    const { warmUpMs, measureMs, drainMs } = this.load;
    for (const lane of this.lanes) lane.start();
    await sleep(warmUpMs);
    const histogram = isSingle(this.load)
      ? build({ highestTrackableValue: 60_000_000, useWebAssembly: false })
      : null;
    for (const lane of this.lanes) lane.histogram = histogram;
    const before = this.counted();
    const startMs = performance.now();
    await sleep(measureMs);
    const counted = this.counted() - before;
    const seconds = (performance.now() - startMs) / 1000;
    for (const lane of this.lanes) lane.stop();
    const deadline = performance.now() + drainMs;
    while (this.unanswered() > 0 && performance.now() < deadline) await sleep(5);
    return {
      commandsPerSecond: counted / seconds,
      ...this.totals(),
      latency: histogram && percentiles(histogram),
    };
  }

  close(): void {
    for (const lane of this.lanes) lane.connection.destroy();
  }

  private counted(): number {
    return this.lanes.reduce((sum, lane) => sum + lane.counted, 0);
  }

  private accepted(): number {
    return this.lanes.reduce((sum, lane) => sum + lane.accepted, 0);
  }

  private unanswered(): number {
    return this.lanes.reduce((sum, lane) => sum + lane.sent - lane.answered, 0);
  }

  private totals() {
    const refused: Record<string, number> = {};
    for (let status = Status.OK + 1; status < STATUS_COUNT; status++) {
      const count = this.lanes.reduce((sum, lane) => sum + lane.connection.scanner.byStatus[status], 0);
      if (count > 0) refused[statusName(status)] = count;
    }
    const sent = this.lanes.reduce((sum, lane) => sum + lane.sent, 0);
    return { accepted: this.accepted(), refused, unanswered: this.unanswered(), sent };
  }
}

/** One connection that keeps its frames under way. */
class Lane {
  readonly connection: Connection;
  /** Commands. */
  sent = 0;
  answered = 0;
  histogram: Histogram | null = null;
  private readonly frames: FrameSet;
  private readonly framesInFlight: number;
  private readonly framesPerWrite: number;
  private readonly answers: Answers;
  private readonly counts: number;
  private readonly times: boolean;
  /** First half of this lane's keys, and the number in the next one. */
  private readonly keyPrefix: Buffer | undefined;
  private nextKey = 0;
  private next: number;
  private sentAtMs = 0;
  private stopped = false;

  constructor(connection: Connection, load: Load, frames: FrameSet, first: number) {
    this.connection = connection;
    this.frames = frames;
    this.framesInFlight = load.framesInFlight;
    this.framesPerWrite = load.framesPerWrite;
    this.answers = load.answers;
    this.counts = load.counts ?? Status.OK;
    this.times = isSingle(load);
    this.keyPrefix = load.keyed === true ? randomBytes(8) : undefined;
    this.next = first;
    connection.onRead = () => this.onRead();
  }

  start(): void {
    this.send(this.framesInFlight);
  }

  stop(): void {
    this.stopped = true;
    this.histogram = null;
  }

  get accepted(): number {
    const { scanner } = this.connection;
    return this.answers === 'echo' ? scanner.frames * this.frames.commandsPerFrame : scanner.accepted;
  }

  /** Answers of the status that counts. */
  get counted(): number {
    return this.answers === 'echo' ? this.accepted : this.connection.scanner.byStatus[this.counts];
  }

  private onRead(): void {
    const { scanner } = this.connection;
    const { commandsPerFrame } = this.frames;
    const answered = this.answers === 'echo' ? scanner.frames * commandsPerFrame : scanner.replies;
    // The hello comes without being asked for.
    if (answered === this.answered) return;
    this.answered = answered;
    if (this.histogram !== null)
      this.histogram.recordValue(Math.round((performance.now() - this.sentAtMs) * 1000));
    const inFlight = Math.ceil((this.sent - answered) / commandsPerFrame);
    if (inFlight < this.framesInFlight && !this.stopped) this.send(this.framesInFlight - inFlight);
  }

  private send(count: number): void {
    const { bytes, frameBytes, frames, commandsPerFrame } = this.frames;
    if (this.times) this.sentAtMs = performance.now();
    this.sent += count * commandsPerFrame;
    for (let left = count; left > 0; ) {
      const together = Math.min(left, this.framesPerWrite);
      const start = this.next * frameBytes;
      this.connection.write(this.stamped(bytes.subarray(start, start + together * frameBytes)));
      this.next = (this.next + together) % frames;
      left -= together;
    }
  }

  /** Frames as they are to leave. Those with keys are a copy, since the set is shared and may be on its way from another lane. */
  private stamped(frames: Buffer): Buffer {
    if (this.keyPrefix === undefined) return frames;
    const copy = Buffer.from(frames);
    this.nextKey = stampKeys(this.frames, copy, this.keyPrefix, this.nextKey);
    return copy;
  }
}

function isSingle(load: Load): boolean {
  return load.framesInFlight === 1 && load.commandsPerFrame === 1;
}

export function percentiles(histogram: Histogram): Latency {
  // A percentile is the upper end of a bucket, the largest value is itself.
  const at = (percentile: number) => Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue);
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.maxValue };
}
