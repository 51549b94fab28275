import { OP_SHAPES } from '../../protocol/ops.ts';
import { STATUS_COUNT } from '../../protocol/status.ts';
import { assert } from '../base/assert.ts';
import { allocateHotSkus } from './hot-skus.ts';
import { BUCKETS } from './stage-histogram.ts';

/**
 * Counters for whoever watches: doubles in one shared buffer, every cell with one writer at a time, so that counting is a load, an
 * addition and a store, and any thread can read them all. They only grow, but for those that are named as readings.
 *
 *     fronts    a block for each: FrontCell
 *     threads   a block for each front, each worker and the storage thread: ThreadCell
 *     server    one block, of the main thread: ServerCell
 */
export interface CounterMemory {
  readonly sab: SharedArrayBuffer;
  readonly hotSkus: SharedArrayBuffer;
  readonly fronts: number;
  readonly workers: number;
}

/** Cells for the members of a small enumeration, by number. */
const FEW = 32;
const OPS = 16;
const STATUSES = 32;
const SOURCES = 2;
export const MOST_WORKERS = 64;
const GATE = 3 * FEW + SOURCES * OPS * STATUSES;

/** Cells of a front's block. */
export const FrontCell = {
  /** WebSocket messages and their bytes, in and out; pings and frames' heads are not counted. */
  FRAMES_IN: 0,
  BYTES_IN: 1,
  FRAMES_OUT: 2,
  BYTES_OUT: 3,
  /** Connections closed because the client did not read, and because it sent nothing but broken frames. */
  CLOSED_SLOW: 4,
  CLOSED_BROKEN: 5,
  /** How often this front saw the store stand still; and, a reading, whether it does. */
  STALLS: 6,
  STALLED: 7,
  /** Connections, handshakes and requests that were refused, by TurnedAway. */
  TURNED_AWAY: 8,
  /** Refusals by Layer. */
  REFUSED: FEW,
  /** What the front could not read or route, by Reason; workers find fault with arguments besides. */
  UNREADABLE: 2 * FEW,
  /** Replies by source, op and status: see replyCell(). */
  REPLIES: 3 * FEW,
  /**
   * Of the gate, readings: breakers of groups of SKUs that are open, half-open, and how often any has opened; the same of ops; by worker,
   * how many commands may be under way, and how many are.
   */
  SKU_GROUPS: GATE,
  OPS: GATE + 3,
  MOST: GATE + 6,
  UNDER_WAY: GATE + 6 + MOST_WORKERS,
  CELLS: GATE + 6 + 2 * MOST_WORKERS,
} as const;

/** Why a connection, a WebSocket or a request was not let in. */
export const TurnedAway = {
  CONNECTIONS: 0,
  ADDRESS_CONNECTIONS: 1,
  RATE: 2,
  ADDRESS_RATE: 3,
  MALFORMED: 4,
  ORIGIN: 5,
  STOPPING: 6,
  /** Of HTTP. */
  REQUESTS: 7,
  ADDRESS_REQUESTS: 8,
  /** Too many tokens that did not do. */
  ADDRESS_BAD_TOKENS: 9,
  /** Connections that are no WebSockets: as many as there may be, or opened too fast. */
  VISITS: 10,
  ADDRESS_VISITS: 11,
  OPENINGS: 12,
  ADDRESS_OPENINGS: 13,
  /** A token that no signature could make good. */
  TOKEN: 14,
} as const;

/** As metrics and logs name it. */
export function turnedAwayName(reason: number): string {
  const name = Object.entries(TurnedAway).find(([, cell]) => cell === reason)?.[0];
  return name?.toLowerCase() ?? `reason ${reason}`;
}

/** Who asked: a client's socket, or an HTTP request, for which the server sends commands to itself. */
export const SOURCES_OF_REPLIES = ['websocket', 'http'] as const;

/** Counts. Inlined, it costs about a nanosecond. */
export function add(cells: Float64Array, cell: number, amount: number): void {
  cells[cell] = (cells[cell] as number) + amount;
}

/** Cell of replies to an op with a status. `source`: index among SOURCES_OF_REPLIES. */
export function replyCell(source: number, op: number, status: number): number {
  return FrontCell.REPLIES + source * OPS * STATUSES + op * STATUSES + status;
}

/** Kinds of garbage collection, in the order of their cells. */
export const COLLECTIONS = ['minor', 'major', 'incremental', 'weak_callbacks'] as const;

/** Cells of a thread's block. */
export const ThreadCell = {
  /** By kind, see COLLECTIONS. */
  COLLECTIONS: 0,
  COLLECTING_US: 4,
  /** Readings, once a second. */
  HEAP_USED: 8,
  HEAP_SIZE: 9,
  /** Of a worker: commands that its thread ran, and holds that it let expire. */
  COMMANDS: 10,
  EXPIRED: 11,
  /**
   * Of the storage thread: changes of state made durable, those restored at the start included; groups and bytes made durable; and, a
   * reading, since when the group at hand is being made durable, ms of hrtime, or 0.
   */
  CHANGES: 12,
  GROUPS: 13,
  BYTES: 14,
  COMMITTING_SINCE: 15,
  /** Time that the loop was held up: its sum in µs, then the buckets of stage-histogram.ts. */
  DELAY: 16,
  CELLS: 16 + 1 + BUCKETS,
} as const;

/** Cells of the server's own block. */
export const ServerCell = {
  /** Server's time at the end of the last round of snapshots without a failure, or at the start, ms. A reading. */
  SNAPSHOTS_AT: 0,
  /** When the process started, ms since the epoch by the wall clock: one reading for all who are asked. */
  STARTED_AT: 1,
  /** When the time of the certificate is over, ms since the epoch, or 0 without one. A reading. */
  CERTIFICATE_UNTIL: 2,
  /** How often what the log tells has happened, see event-counts.ts. */
  EVENTS: 16,
  CELLS: 128,
} as const;

/** Blocks lie on cache lines of their own. */
const LINE = 16;
const FRONT_STRIDE = roundUp(FrontCell.CELLS);
const THREAD_STRIDE = roundUp(ThreadCell.CELLS);

export function allocateCounters(fronts: number, workers: number): CounterMemory {
  const cells = fronts * FRONT_STRIDE + (fronts + workers + 1) * THREAD_STRIDE + ServerCell.CELLS;
  return { sab: new SharedArrayBuffer(cells * 8), hotSkus: allocateHotSkus(fronts), fronts, workers };
}

/** View of a front's block. */
export function frontCounters({ sab }: CounterMemory, front: number): Float64Array {
  return new Float64Array(sab, front * FRONT_STRIDE * 8, FrontCell.CELLS);
}

/** Threads in the order of their blocks: front-0, shard-0, storage. The last is there also when nothing is stored. */
export function threadNames({ fronts, workers }: CounterMemory): string[] {
  const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
  return [...names('front', fronts), ...names('shard', workers), 'storage'];
}

/** View of a thread's block, by its name. */
export function threadCounters(memory: CounterMemory, name: string): Float64Array {
  const thread = threadNames(memory).indexOf(name);
  if (thread < 0) throw new RangeError(`there is no thread ${name}`);
  return new Float64Array(
    memory.sab,
    (memory.fronts * FRONT_STRIDE + thread * THREAD_STRIDE) * 8,
    ThreadCell.CELLS,
  );
}

/** View of the server's block. */
export function serverCounters({ sab, fronts, workers }: CounterMemory): Float64Array {
  const offset = fronts * FRONT_STRIDE + (fronts + workers + 1) * THREAD_STRIDE;
  return new Float64Array(sab, offset * 8, ServerCell.CELLS);
}

function roundUp(cells: number): number {
  return Math.ceil(cells / LINE) * LINE;
}

assert(OP_SHAPES.length <= OPS && STATUS_COUNT <= STATUSES, 'every op and status has a cell');
