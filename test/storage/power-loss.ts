import type { AckLevel } from '../../protocol/ack.ts';
import { Prng } from '../../src/base/prng.ts';
import { possessFileStore } from '../../src/storage/file-store.ts';
import type { JournalBases, JournalWriter, Possession } from '../../src/storage/store.ts';
import { EventMaker, lastLsnOf, readEvents, splitEvents } from './events.ts';
import { MemoryLayer, PowerLost } from './memory-layer.ts';

const SEGMENTS = 3;
const URL = 'file:/disk/data';
const SECTOR_FILES = [1024, 2048, 8192];

export interface CrashReport {
  /** What of the promises did not hold, in words. */
  readonly violations: string[];
  /** Crashes that came while a run was under way. */
  readonly crashes: number;
  /** Groups of which recovery found a torn rest. */
  readonly torn: number;
  readonly events: number;
  readonly trimmedFiles: number;
  /** Times that a journal began behind events of a segment. */
  readonly bases: number;
}

/** What ends the runs; either of both, by chance, shows whether what a kill left is durable once it was recovered. */
export type Ends = 'power' | 'kill' | 'either';

interface World {
  readonly prng: Prng;
  readonly ack: AckLevel;
  /** Whether what is acknowledged survives what ends the runs. Otherwise only the order of what is left must hold. */
  readonly lasting: boolean;
  readonly fileBytes: number;
  layer: MemoryLayer;
  boot: number;
  /** Every event that was added and may be there, by segment, and how many of them must be. */
  added: string[][];
  acknowledged: number[];
  trimmed: Float64Array;
  readonly report: {
    violations: string[];
    crashes: number;
    torn: number;
    events: number;
    trimmedFiles: number;
    bases: number;
  };
}

/**
 * Runs a store through several runs, each ended by a loss of power, or by a kill of the process, at any call of the file
 * system, and looks each time whether everything that was acknowledged is there, in order, with nothing that nobody added.
 */
export async function crashRuns(seed: number, ack: AckLevel, ends: Ends): Promise<CrashReport> {
  const prng = new Prng(seed);
  const world: World = {
    prng,
    ack,
    lasting: ends === 'kill' || ack === 'sync',
    fileBytes: prng.pick(SECTOR_FILES),
    layer: new MemoryLayer(),
    boot: 1,
    added: Array.from({ length: SEGMENTS }, () => []),
    acknowledged: new Array(SEGMENTS).fill(0),
    trimmed: new Float64Array(SEGMENTS),
    report: { violations: [], crashes: 0, torn: 0, events: 0, trimmedFiles: 0, bases: 0 },
  };
  const runs = 3 + prng.below(4);
  for (let run = 0; run < runs && world.report.violations.length === 0; run++) {
    const calls = 1 + prng.below(run === 0 ? 60 : 200);
    let left = calls;
    world.layer.fault = () => {
      if (--left <= 0) throw new PowerLost();
    };
    const kills = ends === 'kill' || (ends === 'either' && prng.oneIn(2));
    world.layer.cutShort = (bytes) => bytes;
    if (kills) world.layer.cutShort = (bytes) => prng.below(bytes + 1);
    try {
      await oneRun(world);
    } catch (error) {
      if (!isPowerLoss(error)) {
        world.report.violations.push(`run ${run}: ${(error as Error).message}`);
        break;
      }
      world.report.crashes++;
    }
    if (kills) {
      world.layer.kill();
    } else {
      world.layer = world.layer.losePower(prng);
      world.boot++;
    }
  }
  world.layer.fault = () => {};
  try {
    if (world.report.violations.length === 0) await recover(world, await possess(world));
  } catch (error) {
    world.report.violations.push(`at the end: ${(error as Error).message}`);
  }
  world.report.events = world.added.reduce((sum, events) => sum + events.length, 0);
  return world.report;
}

function possess({ layer, fileBytes, boot }: World): Promise<Possession> {
  const options = { layer, fileBytes, bootId: `boot-${boot}` };
  return possessFileStore(URL, { segments: SEGMENTS, create: true }, options);
}

/** A server's life, from recovery to a close in order, unless the power goes first. */
async function oneRun(world: World): Promise<void> {
  const { prng } = world;
  const possession = await possess(world);
  const { end, maker, lastLsns } = await recover(world, possession);
  const writer = possession.store.writer({
    ack: world.ack,
    end,
    run: { bootId: `boot-${world.boot}`, offsetMs: 0 },
    identity: possession.identity,
    lastLsns,
    lsns: maker.lsns,
  });
  for (let step = prng.below(60); step > 0; step--) {
    switch (prng.below(8)) {
      case 0:
        writer.mark?.();
        break;
      case 1:
        trim(world, writer, maker);
        break;
      default:
        await appendGroup(world, writer, maker);
    }
  }
  await writer.close();
  await possession.release();
}

async function appendGroup(world: World, writer: JournalWriter, maker: EventMaker): Promise<void> {
  const { prng, added } = world;
  for (let lots = prng.below(3); lots >= 0; lots--) {
    const segment = prng.below(SEGMENTS);
    const lot = maker.make(segment, 1 + prng.below(prng.oneIn(6) ? 60 : 4));
    writer.add(lot, 0, lot.length);
    added[segment].push(...splitEvents(lot));
  }
  await writer.commit();
  if (world.lasting) world.acknowledged = added.map((events) => events.length);
}

/** As behind a snapshot, which is taken to be durable elsewhere: never beyond what is acknowledged. */
function trim(world: World, writer: JournalWriter, maker: EventMaker): void {
  if (!world.lasting) return;
  const segment = world.prng.below(SEGMENTS);
  const lsn = Math.max(0, maker.lsns[segment] - world.prng.below(30));
  world.trimmed[segment] = Math.max(world.trimmed[segment], lsn);
  const before = writer.bytes;
  void writer.trim(segment, lsn);
  if (writer.bytes < before) world.report.trimmedFiles++;
}

/** Checks, reads all, compares with what must and may be there, and takes what is there as the truth from here on. */
async function recover(
  world: World,
  possession: Possession,
): Promise<{ end: unknown; maker: EventMaker; lastLsns: Float64Array[] }> {
  const { added, acknowledged, trimmed, report } = world;
  const check = await possession.check();
  if (check.torn !== undefined) report.torn++;
  const reader = possession.store.reader({ end: check.end });
  const read = await readEvents(reader, SEGMENTS);
  checkBases(world, reader.bases, read);
  const lsns = new Float64Array(SEGMENTS);
  for (let segment = 0; segment < SEGMENTS; segment++) {
    const all = added[segment];
    // What is trimmed may be missing at the front.
    const start = read[segment].length === 0 ? all.length : all.indexOf(read[segment][0]);
    const missing = (event: string | undefined): boolean =>
      event !== undefined && lastLsnOf(event) > trimmed[segment];
    const end = start + read[segment].length;
    const same = read[segment].every((event, i) => event === all[start + i]);
    const untrimmed = all.findIndex(missing);
    if (start < 0 || !same)
      report.violations.push(`segment ${segment}: events that nobody added, or out of order`);
    else if (untrimmed >= 0 && untrimmed < Math.min(start, acknowledged[segment])) {
      report.violations.push(`segment ${segment}: event ${untrimmed} is needed and gone`);
    } else if (read[segment].length > 0 && end < acknowledged[segment]) {
      report.violations.push(
        `segment ${segment}: ${acknowledged[segment] - end} acknowledged events are gone`,
      );
    }
    // A later run numbers from where this one found the end; with nothing there, from the snapshot.
    if (read[segment].length > 0) all.length = Math.max(end, 0);
    else all.length = acknowledged[segment];
    acknowledged[segment] = all.length;
    lsns[segment] = all.length === 0 ? 0 : lastLsnOf(all[all.length - 1]);
  }
  const files = (check.end as { files: number[] }).files.length;
  const lastLsns = Array.from({ length: files - 1 }, () => lsns);
  return { end: check.end, maker: new EventMaker(SEGMENTS, lsns), lastLsns };
}

/** What a start demands must be there, after any crash, and what it holds against snapshots must not be less than what they have. */
function checkBases(
  { trimmed, report }: World,
  bases: JournalBases | undefined,
  read: readonly (readonly string[])[],
): void {
  if (bases === undefined) {
    report.violations.push('the journal does not say where it begins');
    return;
  }
  for (let segment = 0; segment < SEGMENTS; segment++) {
    const lastRead = lsnOf(read[segment].at(-1));
    const first = bases.first[segment];
    const last = bases.last[segment];
    if (Math.max(lastRead, trimmed[segment]) < last)
      report.violations.push(`segment ${segment}: LSN ${last} is demanded, and never was`);
    if (first > last)
      report.violations.push(`segment ${segment}: begins at LSN ${first}, behind LSN ${last}`);
    if (Math.max(lastRead, last) < trimmed[segment])
      report.violations.push(`segment ${segment}: the journal does not know of LSN ${trimmed[segment]}`);
    if (first > 0) report.bases++;
  }
}

function lsnOf(event: string | undefined): number {
  return event === undefined ? 0 : lastLsnOf(event);
}

function isPowerLoss(error: unknown): boolean {
  return error instanceof PowerLost || (error as Error).cause instanceof PowerLost;
}
