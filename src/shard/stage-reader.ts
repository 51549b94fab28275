import { monotonicMs } from '../base/clock.ts';
import { type Occupancy, ringOccupancy } from '../ring/occupancy.ts';
import { LANE_NAMES, type LaneName } from './lanes.ts';
import type { EngineMemory, RingMemory } from './memory.ts';
import { BUCKETS, bucketUpperUs } from './stage-histogram.ts';
import { FrontStages, histogramStart, IoKind, ThreadTime, threadTimes } from './stage-memory.ts';
import {
  type LaneWaiting,
  STAGES,
  type Stage,
  type StageHistogram,
  type StageReport,
  type ThreadTimes,
  type WorkerStages,
} from './stage-report.ts';

/** Reads what the stage clocks have written, while all threads go on. `atMs`: the server's time. */
export function readStages(memory: EngineMemory, atMs: number): StageReport {
  const fronts = memory.stages.fronts.map((_, front) => new FrontStages(memory.stages, front));
  const workers = memory.workers.map((_, worker) => worker);
  return {
    atMs,
    fronts: fronts.length,
    sampledOneIn: Math.max(...fronts.map(({ header }) => header[0] as number)),
    bucketUpperUs: bucketUpperUs(),
    threads: [
      ...fronts.map(({ times }, front) => ({
        name: `front-${front}`,
        busyUs: Math.round(times[0] as number),
        idleUs: Math.round(times[1] as number),
        cpuUs: Math.round(times[2] as number),
      })),
      ...workers.map((worker) => readThread(memory, worker, `shard-${worker}`)),
      ...(memory.storage === undefined ? [] : [readStorage(memory)]),
    ],
    workers: workers.map((worker) => readWorker(memory, fronts, worker)),
  };
}

function readThread(memory: EngineMemory, thread: number, name: string): ThreadTimes {
  const times = threadTimes(memory.stages, thread);
  const startedUs = times[ThreadTime.STARTED] as number;
  const busyUs = Math.round(times[ThreadTime.BUSY] as number);
  const ioUs = Math.round(times[ThreadTime.IO] as number);
  const aliveUs = startedUs === 0 ? 0 : monotonicMs() * 1000 - startedUs;
  const cpuUs = Math.round(times[ThreadTime.CPU] as number);
  return { name, busyUs, idleUs: Math.max(0, Math.round(aliveUs - busyUs - ioUs)), cpuUs };
}

function readStorage(memory: EngineMemory): ThreadTimes {
  const thread = memory.workers.length;
  const times = threadTimes(memory.stages, thread);
  return {
    ...readThread(memory, thread, 'storage'),
    ioUs: Math.round(times[ThreadTime.IO] as number),
    waitsFor: times[ThreadTime.IO_KIND] === IoKind.NETWORK ? 'network' : 'disk',
  };
}

function readWorker(memory: EngineMemory, fronts: readonly FrontStages[], worker: number): WorkerStages {
  const own = memory.workers[worker] as EngineMemory['workers'][number];
  const { sab, links, events, eventRingBytes } = own;
  const occupancy = ({ at, bytes }: RingMemory): Occupancy => ringOccupancy(sab, at, bytes);
  const lanes = LANE_NAMES.map((_, lane) =>
    links.map(({ commands }) => occupancy(commands[lane] as RingMemory)),
  );
  const commands = lanes.flat();
  const replies = links.map((link) => occupancy(link.replies));
  const histograms = fronts.map((front) => front.histograms(worker));
  return {
    worker,
    waitingCommands: waitingIn(commands),
    waitingReplies: waitingIn(replies),
    commandRingFill: fullestOf(commands),
    replyRingFill: fullestOf(replies),
    eventRingFill: eventRingBytes === 0 ? 0 : ringOccupancy(sab, events, eventRingBytes).fill,
    lanes: Object.fromEntries(
      LANE_NAMES.map((name, lane) => {
        const rings = lanes[lane] as Occupancy[];
        return [name, { waitingCommands: waitingIn(rings), ringFill: fullestOf(rings) }];
      }),
    ) as Record<LaneName, LaneWaiting>,
    stages: Object.fromEntries(
      STAGES.map((stage, i) => [stage, readHistogram(histograms, histogramStart(i))]),
    ) as Record<Stage, StageHistogram>,
  };
}

function waitingIn(rings: readonly Occupancy[]): number {
  return rings.reduce((sum, ring) => sum + ring.records, 0);
}

function fullestOf(rings: readonly Occupancy[]): number {
  return Math.max(...rings.map((ring) => ring.fill));
}

/** One stage's histograms of all fronts, added up. */
function readHistogram(histograms: readonly Float64Array[], start: number): StageHistogram {
  let sumUs = 0;
  let count = 0;
  const buckets = new Array<number>(BUCKETS).fill(0);
  for (const histogram of histograms) {
    sumUs += histogram[start] as number;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const some = histogram[start + 1 + bucket] as number;
      buckets[bucket] = (buckets[bucket] as number) + some;
      count += some;
    }
  }
  return { count, sumUs, buckets };
}
