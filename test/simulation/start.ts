import { allocateEngine, type EngineMemory } from '../../src/shard/memory.ts';
import { possessFileStore } from '../../src/storage/file-store.ts';
import { type Recovery, restoreFrom } from '../../src/storage/recovery.ts';
import type {
  JournalCheck,
  JournalReader,
  JournalWriter,
  Possession,
  StoreIdentity,
} from '../../src/storage/store.ts';
import type { SimMachine } from './disk.ts';
import type { DurableScenario } from './durable-scenario.ts';

const URL = 'file:/disk/data';

/** What a start needs of the run that it is part of. */
export interface StartWorld {
  readonly machine: SimMachine;
  readonly scenario: DurableScenario;
  readonly count: (what: string) => void;
  /** May put something else in the place of what the journal's check found, and of what reads the journal. */
  readonly check: (check: JournalCheck) => JournalCheck;
  readonly reader: (reader: JournalReader) => JournalReader;
}

/** A server with everything in memory again that its store has. */
export interface Started {
  readonly memory: EngineMemory;
  readonly possession: Possession;
  readonly recovery: Recovery;
  readonly writer: JournalWriter;
  /** The server's time. */
  readonly nowMs: number;
}

/** The identity of every store of the simulation: drawn once, and not by chance. */
export function simIdentity(segments: number): StoreIdentity {
  return { id: 'ab'.repeat(16), segments, secret: new Uint8Array(32).fill(7), fresh: true };
}

/** The steps of src/runtime/start-up.ts, in one thread and with the machine's clocks. */
export async function startServer(world: StartWorld): Promise<Started> {
  const { machine, scenario, count } = world;
  const { segments } = scenario.engine;
  const identity = simIdentity(segments);
  const options = { layer: machine.layer, fileBytes: scenario.fileBytes, bootId: machine.bootId };
  const possession = await possessFileStore(URL, { segments, create: true, identity }, options);
  const found = await possession.check();
  if (found.torn !== undefined) count('torn');
  const check = world.check(found);
  const memory = allocateEngine(scenario.engine);
  const recovery = await restore(world, possession, check, memory);
  const nowMs = carriedOn(machine, check, Math.max(...recovery.segments.map(({ timeMs }) => timeMs)));
  const writer = possession.store.writer({
    ack: scenario.ack,
    end: check.end,
    run: { bootId: machine.bootId, offsetMs: nowMs - machine.monotonicMs },
    identity,
    lastLsns: recovery.lastLsns,
    lsns: Float64Array.from(recovery.segments, ({ lsn }) => lsn),
  });
  return { memory, possession, recovery, writer, nowMs };
}

async function restore(
  { reader, count }: StartWorld,
  { store, identity }: Possession,
  { end }: JournalCheck,
  memory: EngineMemory,
): Promise<Recovery> {
  const journal = store.reader({ end });
  const recovery = await restoreFrom(reader(journal), store.snapshots(identity), {
    identity,
    segments: [...memory.segments.keys()],
    memory: memory.segments,
    options: memory.segmentOptions,
  });
  await journal.close();
  for (const { snapshotLsn, damaged } of recovery.segments) {
    if (snapshotLsn > 0) count('from-snapshot');
    if (damaged.length > 0) count('snapshot-passed-over');
  }
  return recovery;
}

/** As src/runtime/run-clock.ts has it. */
function carriedOn(machine: SimMachine, { lastRun }: JournalCheck, lastEventMs: number): number {
  const { clockLost, monotonicMs, wallMs, bootId } = machine;
  if (clockLost) return monotonicMs;
  const nowMs = lastRun?.bootId === bootId ? monotonicMs + lastRun.offsetMs : wallMs;
  return Math.max(nowMs, lastEventMs);
}
