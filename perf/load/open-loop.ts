import { setTimeout as sleep } from 'node:timers/promises';
import { build, type Histogram } from 'hdr-histogram-js';
import { STATUS_COUNT, Status, statusName } from '../../protocol/status.ts';
import { Connection } from './connection.ts';
import { FIRST_REQUEST_ID, holdFrame, strided } from './frames.ts';
import { type Latency, percentiles } from './generator.ts';
import type { Answers } from './scanner.ts';
import { Ticks } from './ticks.ts';

/** Holds at a steady rate, whatever the answers do. Times are ms. */
export interface OpenLoad {
  readonly port: number;
  readonly answers: Answers;
  readonly connections: number;
  readonly ratePerSecond: number;
  readonly skus: number;
  readonly ttlMs: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Longest wait for the last answers. */
  readonly drainMs: number;
}

export interface OpenLoadResult {
  /** The whole run, warm-up included: every command sent is in one of these three. */
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly unanswered: number;
  readonly sent: number;
  /** Of accepted holds (or echoed commands) of the measured window: from the time at which each was due to its answer, µs. */
  readonly latency: Latency;
  /** By how much they left behind the time at which they were due, which is in `latency`, µs. */
  readonly lateSends: Latency;
}

/** Commands are due in small lots, so far apart. */
const TICK_MS = 0.5;

/** Pool task. The schedule is fixed before the first command leaves: a slow answer delays no other command, and no figure leaves it out. */
export default async function generateOpenLoop(load: OpenLoad): Promise<OpenLoadResult> {
  const run = new OpenRun(load);
  try {
    await run.open();
    return await Promise.race([run.measure(), run.failure]);
  } finally {
    await run.close();
  }
}

class OpenRun {
  /** Rejects when a connection or the ticker fails. */
  readonly failure: Promise<never>;
  private readonly load: OpenLoad;
  private readonly connections: Connection[] = [];
  private readonly latency = histogram();
  private readonly lateSends = histogram();
  private readonly perTick: number;
  private readonly total: number;
  private readonly firstMeasured: number;
  private readonly refused = new Float64Array(STATUS_COUNT);
  private ticks: Ticks | undefined;
  private startMs = 0;
  private sent = 0;
  private accepted = 0;
  private answered = 0;
  private closed = false;
  private fail: (error: Error) => void = () => {};

  constructor(load: OpenLoad) {
    this.load = load;
    this.perTick = (load.ratePerSecond * TICK_MS) / 1000;
    this.total = Math.floor((load.ratePerSecond * (load.warmUpMs + load.measureMs)) / 1000);
    this.firstMeasured = Math.floor((load.ratePerSecond * load.warmUpMs) / 1000);
    this.failure = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failure.catch(() => {});
  }

  async open(): Promise<void> {
    const { port, answers } = this.load;
    for (let i = 0; i < this.load.connections; i++) {
      const connection = await Connection.open({ port, answers, path: `/v1/ws?holder=bench-${i}` });
      connection.onFailure = this.fail;
      this.connections.push(connection);
      if (answers === 'echo') this.countEchoes(connection, i);
      else connection.scanner.onReply = (id, status) => this.onAnswer(id - FIRST_REQUEST_ID, status);
    }
  }

  async measure(): Promise<OpenLoadResult> {
    this.ticks = new Ticks(TICK_MS, this.fail);
    this.startMs = performance.now() + 2 * TICK_MS;
    while (this.sent < this.total && !this.closed) {
      await this.ticks.next();
      this.sendDue();
    }
    const deadline = performance.now() + this.load.drainMs;
    while (this.answered < this.sent && performance.now() < deadline) await sleep(5);
    return {
      accepted: this.accepted,
      refused: this.refusals(),
      unanswered: this.sent - this.answered,
      sent: this.sent,
      latency: percentiles(this.latency),
      lateSends: percentiles(this.lateSends),
    };
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const connection of this.connections) connection.destroy();
    await this.ticks?.stop();
  }

  /** Sends everything that is due by now. */
  private sendDue(): void {
    const { skus, ttlMs } = this.load;
    const nowMs = performance.now();
    const due = Math.floor((nowMs - this.startMs) / TICK_MS + 1) * this.perTick;
    const last = Math.min(this.total, Math.floor(due));
    for (; this.sent < last; this.sent++) {
      const command = this.sent;
      const connection = this.connections[command % this.connections.length];
      if (command >= this.firstMeasured) record(this.lateSends, performance.now() - this.dueMs(command));
      connection.write(holdFrame(FIRST_REQUEST_ID + command, strided(command, skus), ttlMs));
    }
  }

  /** When a command was due, by performance.now(). */
  private dueMs(command: number): number {
    return this.startMs + Math.floor(command / this.perTick) * TICK_MS;
  }

  /** Frames come back in the order in which they were sent, and commands go to the connections in turns. */
  private countEchoes(connection: Connection, index: number): void {
    let seen = 0;
    connection.onRead = () => {
      while (seen < connection.scanner.frames) {
        this.onAnswer(index + seen++ * this.connections.length, Status.OK);
      }
    };
  }

  private onAnswer(command: number, status: number): void {
    this.answered++;
    if (status !== Status.OK) {
      this.refused[status]++;
      return;
    }
    this.accepted++;
    if (command >= this.firstMeasured) record(this.latency, performance.now() - this.dueMs(command));
  }

  private refusals(): Record<string, number> {
    const found: Record<string, number> = {};
    for (let status = Status.OK + 1; status < STATUS_COUNT; status++) {
      if (this.refused[status] > 0) found[statusName(status)] = this.refused[status];
    }
    return found;
  }
}

function histogram(): Histogram {
  return build({ highestTrackableValue: 60_000_000, useWebAssembly: false });
}

function record(to: Histogram, ms: number): void {
  to.recordValue(Math.max(0, Math.round(ms * 1000)));
}
