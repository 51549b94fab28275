import { statSync } from 'node:fs';
import { OP_SHAPES, opName } from '../../protocol/ops.ts';
import {
  Layer,
  layerName,
  Reason,
  reasonName,
  STATUS_COUNT,
  Status,
  statusName,
} from '../../protocol/status.ts';
import { monotonicMs } from '../base/clock.ts';
import { Prng } from '../base/prng.ts';
import { version } from '../base/version.ts';
import {
  COLLECTIONS,
  FrontCell,
  frontCounters,
  replyCell,
  ServerCell,
  SOURCES_OF_REPLIES,
  serverCounters,
  ThreadCell,
  TurnedAway,
  threadCounters,
  threadNames,
  turnedAwayName,
} from '../shard/counters.ts';
import { Durability } from '../shard/durability.ts';
import { estimateExpiring, HORIZONS_MS } from '../shard/expiring.ts';
import { LANE_NAMES } from '../shard/lanes.ts';
import { readLevels } from '../shard/levels.ts';
import {
  Control,
  controlOf,
  type EngineMemory,
  FrontControl,
  frontControlOf,
  StorageControl,
  storageControlOf,
} from '../shard/memory.ts';
import { readStages } from '../shard/stage-reader.ts';
import { STAGES, type Stage } from '../shard/stage-report.ts';
import { countedEvents } from './event-counts.ts';
import { Exposition, type Format } from './exposition.ts';
import { FAMILIES as F } from './families.ts';
import { coarse, EDGES } from './histogram.ts';

export interface SkuStock {
  readonly sku: string;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
  /** Of all commands that name a SKU, 0 to 1. */
  readonly share: number;
}

/** What is not in shared memory. */
export interface Readings {
  readonly stock: readonly SkuStock[];
  /** By the tables of rates and windows. */
  readonly forgotten: { readonly evictions: number; readonly uncounted: number };
}

/** Names where a front's block has one cell for each member of an enumeration. */
const REASONS = Object.values(Reason);
const FRESH_MS = 1000;
const LAYERS = Object.values(Layer);

/**
 * Reads all counters of an engine and says them in Prometheus' words. Any thread can: what is read is shared memory, and its writers go on
 * meanwhile. A counter never goes back; two that belong together may be an instant apart.
 */
export class Collector {
  private readonly memory: EngineMemory;
  private readonly ack: string;
  private readonly fronts: readonly Float64Array[];
  private readonly frontControls: readonly Int32Array[];
  private readonly controls: readonly Int32Array[];
  private readonly threads: readonly (readonly [string, Float64Array])[];
  private readonly server: Float64Array;
  private readonly durability: Durability;
  private readonly expiring: ExpiringCache;

  /** @param ack when a change is acknowledged */
  constructor(memory: EngineMemory, ack: string) {
    const { counters } = memory;
    this.memory = memory;
    this.ack = ack;
    this.fronts = memory.fronts.map((_, front) => frontCounters(counters, front));
    this.frontControls = memory.fronts.map((_, front) => frontControlOf(memory, front));
    this.controls = memory.workers.map(controlOf);
    this.threads = threadNames(counters)
      .filter((name) => name !== 'storage' || memory.storage !== undefined)
      .map((name) => [name, threadCounters(counters, name)] as const);
    this.server = serverCounters(counters);
    this.durability = new Durability(memory);
    this.expiring = new ExpiringCache(memory);
  }

  /** @param nowMs the server's time */
  render(format: Format, nowMs: number, readings: Readings): string {
    const text = new Exposition(format);
    text.add(F.build, [version, process.version, this.ack], 1);
    this.addCommands(text);
    this.addAdmission(text, readings);
    this.addConnections(text);
    this.addStages(text, nowMs);
    this.addTables(text, this.expiring.at(nowMs));
    addStock(text, readings.stock);
    if (this.memory.storage !== undefined) this.addStore(text, nowMs);
    this.addEvents(text);
    this.addThreads(text);
    addProcess(text);
    this.memory.fronts.forEach((_, front) => {
      const silent = Atomics.load(frontControlOf(this.memory, front), FrontControl.SILENT);
      text.add(F.frontSilent, [String(front)], silent);
    });
    const untilMs = this.server[ServerCell.CERTIFICATE_UNTIL] as number;
    if (untilMs > 0) text.add(F.certificateUntil, [], untilMs / 1000);
    text.add(F.startTime, [], (this.server[ServerCell.STARTED_AT] as number) / 1000);
    return text.end();
  }

  private addCommands(text: Exposition): void {
    SOURCES_OF_REPLIES.forEach((source, i) => {
      for (let op = 0; op < OP_SHAPES.length; op++) {
        for (let status = 0; status < STATUS_COUNT; status++) {
          const count = this.overFronts(replyCell(i, op, status));
          // A rate needs a beginning: what nobody has seen yet is told of where it is the rule.
          if (count === 0 && (op === 0 || status !== Status.OK)) continue;
          text.add(F.commands, [source, op === 0 ? 'unknown' : opName(op), statusName(status)], count);
        }
      }
    });
    for (const layer of LAYERS)
      text.add(F.refusals, [layerName(layer)], this.overFronts(FrontCell.REFUSED + layer));
    for (const reason of Object.values(TurnedAway))
      text.add(F.turnedAway, [turnedAwayName(reason)], this.overFronts(FrontCell.TURNED_AWAY + reason));
    for (const reason of REASONS)
      text.add(F.unreadable, [reasonName(reason)], this.overFronts(FrontCell.UNREADABLE + reason));
  }

  private addAdmission(text: Exposition, { forgotten }: Readings): void {
    this.memory.workers.forEach((_, worker) => {
      text.add(F.admissionMost, [worker], this.overFronts(FrontCell.MOST + worker));
    });
    this.memory.workers.forEach((_, worker) => {
      text.add(F.underWay, [worker], this.overFronts(FrontCell.UNDER_WAY + worker));
    });
    const guards = [
      ['sku_group', FrontCell.SKU_GROUPS],
      ['op', FrontCell.OPS],
    ] as const;
    for (const [what, cell] of guards) {
      text.add(F.breakers, [what, 'open'], this.overFronts(cell));
      text.add(F.breakers, [what, 'half_open'], this.overFronts(cell + 1));
    }
    for (const [what, cell] of guards) text.add(F.breakersOpened, [what], this.overFronts(cell + 2));
    text.add(F.evictions, [], forgotten.evictions);
    text.add(F.uncounted, [], forgotten.uncounted);
  }

  private addConnections(text: Exposition): void {
    const control = (word: number) => (front: number) =>
      (this.frontControls[front] as Int32Array)[word] as number;
    const cell = (index: number) => (front: number) => (this.fronts[front] as Float64Array)[index] as number;
    for (const [family, read] of [
      [F.connections, control(FrontControl.CONNECTIONS)],
      [F.accepted, (front: number) => control(FrontControl.ACCEPTED)(front) >>> 0],
      [F.messagesIn, cell(FrontCell.FRAMES_IN)],
      [F.messagesOut, cell(FrontCell.FRAMES_OUT)],
      [F.bytesIn, cell(FrontCell.BYTES_IN)],
      [F.bytesOut, cell(FrontCell.BYTES_OUT)],
    ] as const) {
      this.fronts.forEach((_, front) => {
        text.add(family, [front], read(front));
      });
    }
    text.add(F.closed, ['slow'], this.overFronts(FrontCell.CLOSED_SLOW));
    text.add(F.closed, ['broken'], this.overFronts(FrontCell.CLOSED_BROKEN));
  }

  private addStages(text: Exposition, nowMs: number): void {
    const { sampledOneIn, workers, threads } = readStages(this.memory, nowMs);
    for (const stage of STAGES) {
      for (const { worker, stages } of workers) {
        const { buckets, sumUs } = stages[stage as Stage];
        text.histogram(F.stage, [stage, worker], {
          upper: EDGES,
          counts: coarse(buckets, 0),
          sum: sumUs / 1e6,
        });
      }
    }
    text.add(F.sampledOneIn, [], sampledOneIn);
    for (const { worker, lanes } of workers) {
      for (const lane of LANE_NAMES) text.add(F.queued, [worker, lane], lanes[lane].waitingCommands);
    }
    for (const { worker, waitingReplies } of workers) text.add(F.unsent, [worker], waitingReplies);
    for (const { worker, lanes, replyRingFill, eventRingFill } of workers) {
      for (const lane of LANE_NAMES) text.add(F.ringFill, [worker, lane], lanes[lane].ringFill);
      text.add(F.ringFill, [worker, 'replies'], replyRingFill);
      text.add(F.ringFill, [worker, 'events'], eventRingFill);
    }
    for (const { name, busyUs } of threads) text.add(F.threadBusy, [name], busyUs / 1e6);
    for (const { name, ioUs } of threads) if (ioUs !== undefined) text.add(F.threadWait, [name], ioUs / 1e6);
    for (const { name, cpuUs } of threads) text.add(F.threadCpu, [name], cpuUs / 1e6);
  }

  private addTables(text: Exposition, expiring: readonly number[]): void {
    const { segments, workers } = this.memory;
    const levels = readLevels(this.memory);
    text.add(F.openHolds, [], levels.openHolds);
    HORIZONS_MS.forEach((ms, i) => {
      text.add(F.expiring, [`${ms / 1000}s`], expiring[i] as number);
    });
    text.add(F.skus, [], levels.skus);
    text.add(F.keys, [], levels.keys);
    text.add(F.holders, [], levels.holders);
    for (const [table, fill] of Object.entries(levels.fill)) text.add(F.tableFill, [table], fill);
    text.add(F.segments, ['in_service'], segments.length - levels.fenced);
    text.add(F.segments, ['fenced'], levels.fenced);
    text.add(F.changes, [], levels.changes);
    workers.forEach((_, worker) => {
      text.add(F.expired, [worker], this.ofThread(`shard-${worker}`, ThreadCell.EXPIRED));
    });
    workers.forEach((_, worker) => {
      text.add(F.workerCommands, [worker], this.ofThread(`shard-${worker}`, ThreadCell.COMMANDS));
    });
    this.controls.forEach((control, worker) => {
      text.add(F.borrowed, [worker], (control[Control.BORROWED] as number) >>> 0);
    });
    if (this.memory.storage === undefined) return;
    const durable = this.ofThread('storage', ThreadCell.CHANGES);
    text.add(F.durableChanges, [], durable);
    text.add(F.lagChanges, [], Math.max(0, levels.changes - durable));
  }

  private addStore(text: Exposition, nowMs: number): void {
    const { storage, workers } = this.memory;
    if (storage === undefined) return;
    const since = this.ofThread('storage', ThreadCell.COMMITTING_SINCE);
    workers.forEach((_, worker) => {
      text.add(F.lagBytes, [worker], this.durability.lagBytes(worker));
    });
    text.add(F.lagSeconds, [], since === 0 ? 0 : Math.max(0, monotonicMs() - since) / 1000);
    text.add(F.groups, [], this.ofThread('storage', ThreadCell.GROUPS));
    text.add(F.storeBytes, [], this.ofThread('storage', ThreadCell.BYTES));
    text.add(F.journalBytes, [], (storageControlOf(storage)[StorageControl.JOURNAL_KIB] as number) * 1024);
    // Every front looks for itself, a few times a second; they see the same store.
    text.add(F.stalled, [], Math.max(...this.fronts.map((cells) => cells[FrontCell.STALLED] as number)));
    text.add(F.stalls, [], Math.max(...this.fronts.map((cells) => cells[FrontCell.STALLS] as number)));
    const at = this.server[ServerCell.SNAPSHOTS_AT] as number;
    text.add(F.snapshotAge, [], Math.max(0, nowMs - at) / 1000);
  }

  private addEvents(text: Exposition): void {
    for (const [event, count] of countedEvents(this.server)) text.add(F.events, [event], count);
  }

  private addThreads(text: Exposition): void {
    const { threads } = this;
    for (const [name, cells] of threads) {
      const counts = coarse(cells, ThreadCell.DELAY + 1);
      const sum = (cells[ThreadCell.DELAY] as number) / 1e6;
      text.histogram(F.delay, [name], { upper: EDGES, counts, sum });
    }
    for (const [name, cells] of threads) {
      COLLECTIONS.forEach((kind, i) => {
        text.add(F.collections, [name, kind], cells[ThreadCell.COLLECTIONS + i] as number);
      });
    }
    for (const [name, cells] of threads) {
      COLLECTIONS.forEach((kind, i) => {
        text.add(F.collecting, [name, kind], (cells[ThreadCell.COLLECTING_US + i] as number) / 1e6);
      });
    }
    for (const [name, cells] of threads) text.add(F.heapUsed, [name], cells[ThreadCell.HEAP_USED] as number);
    for (const [name, cells] of threads) text.add(F.heapSize, [name], cells[ThreadCell.HEAP_SIZE] as number);
  }

  private overFronts(cell: number): number {
    let sum = 0;
    for (const cells of this.fronts) sum += cells[cell] as number;
    return sum;
  }

  private ofThread(name: string, cell: number): number {
    return threadCounters(this.memory.counters, name)[cell] as number;
  }
}

/** However often somebody scrapes, wheels are looked at once a second. */
class ExpiringCache {
  private readonly memory: EngineMemory;
  private readonly random = new Prng(1);
  private estimates: readonly number[] = [];
  private nextMs = 0;

  constructor(memory: EngineMemory) {
    this.memory = memory;
  }

  /** By HORIZONS_MS. @param nowMs the server's time */
  at(nowMs: number): readonly number[] {
    if (nowMs >= this.nextMs) {
      this.nextMs = nowMs + FRESH_MS;
      this.estimates = estimateExpiring(this.memory, nowMs, this.random);
    }
    return this.estimates;
  }
}

function addStock(text: Exposition, stock: readonly SkuStock[]): void {
  for (const { sku, available, held, sold } of stock) {
    text.add(F.skuUnits, [sku, 'available'], available);
    text.add(F.skuUnits, [sku, 'held'], held);
    text.add(F.skuUnits, [sku, 'sold'], sold);
  }
  for (const { sku, share } of stock) text.add(F.skuShare, [sku], share);
}

function addProcess(text: Exposition): void {
  const { user, system } = process.cpuUsage();
  text.add(F.cpu, [], (user + system) / 1e6);
  text.add(F.memory, [], process.memoryUsage.rss());
  const descriptors = openDescriptors();
  if (descriptors !== undefined) text.add(F.descriptors, [], descriptors);
}

/** Linux tells how many there are as the size of a folder, since 6.2; before that it says 0, and elsewhere there is no such folder. */
function openDescriptors(): number | undefined {
  const size = statSync('/proc/self/fd', { throwIfNoEntry: false })?.size ?? 0;
  return size === 0 ? undefined : size;
}
