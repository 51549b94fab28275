import { readTraceParent, type TraceParent } from '../../protocol/traceparent.ts';
import { SLOTS } from '../shard/stage-memory.ts';
import type { CommandTrace } from '../trace/command-trace.ts';

export interface CommandTracesOptions {
  front: number;
  /** Commands traced in a second at most, whatever clients ask for; 0 traces none. */
  perSecond: number;
  /** Takes what was traced. */
  report: (trace: CommandTrace) => void;
}

/** Of no use to anybody: for fronts whose spans nobody wants. */
export const NO_TRACES: CommandTracesOptions = { front: 0, perSecond: 0, report: () => {} };

/**
 * The commands that clients want traced: who asked, from the traceparent to the reply. A client decides by the sampled flag of its traceparent, and
 * may set it always; so there is a bound of its own.
 */
export class CommandTraces {
  /** Whether the next command is to be traced. */
  pending = false;
  private parent: TraceParent | undefined;
  private connection = '';
  private readonly options: CommandTracesOptions;
  private readonly bySlot: (CommandTrace | undefined)[] = new Array(SLOTS).fill(undefined);
  private left: number;

  constructor(options: CommandTracesOptions) {
    this.options = options;
    this.left = options.perSecond;
  }

  /** A traceparent has come: whether the command behind it is to be traced. */
  expect(frame: Uint8Array, start: number, length: number, connection: string): boolean {
    this.pending = false;
    if (this.left === 0 || length === 0) return false;
    const parent = readTraceParent(
      Buffer.from(frame.buffer, frame.byteOffset + start, length).toString('latin1'),
    );
    if (parent?.sampled !== true) return false;
    this.parent = parent;
    this.connection = connection;
    this.pending = true;
    return true;
  }

  /** The command goes into a worker's ring, and its times into a slot. */
  attach(slot: number, op: number, segment: number, worker: number): void {
    if (slot === 0) this.pending = false;
    else this.bySlot[slot] = this.begin(op, segment, worker);
  }

  /** The front has answered it. */
  answered(op: number, status: number, tookUs: number): void {
    const trace = this.begin(op, -1, -1);
    trace.status = status;
    this.end(trace, [tookUs]);
  }

  /** What is traced in a slot, if anything is. */
  at(slot: number): CommandTrace | undefined {
    return this.bySlot[slot];
  }

  /** Its reply has left. */
  finish(slot: number, stagesUs: readonly number[]): void {
    const trace = this.bySlot[slot] as CommandTrace;
    this.bySlot[slot] = undefined;
    this.end(trace, stagesUs);
  }

  /** Call it once a second. */
  refill(): void {
    this.left = this.options.perSecond;
  }

  private begin(op: number, segment: number, worker: number): CommandTrace {
    const { traceId, parentId } = this.parent as TraceParent;
    const { connection } = this;
    this.pending = false;
    this.left--;
    return {
      traceId,
      parentId,
      op,
      status: 0,
      front: this.options.front,
      worker,
      segment,
      connection,
      endMs: 0,
      stagesUs: [],
    };
  }

  private end(trace: CommandTrace, stagesUs: readonly number[]): void {
    trace.endMs = Date.now();
    trace.stagesUs = stagesUs;
    this.options.report(trace);
  }
}
