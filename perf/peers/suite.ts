import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Place } from '../durable/place.ts';
import { loadThreads } from '../load-threads.ts';
import { describeMachine, judge, readCpu, watched } from '../machine.ts';
import { BOOKS_MS, blaming, DRAIN_MS, STUCK_MS } from '../wire.ts';
import type { Drive, PeerLoad, PeerLoadResult } from './load.ts';
import { postgresVersion } from './postgres-process.ts';
import {
  describeDrive,
  expectSoldOut,
  type PeerResult,
  type PeersReport,
  peerResult,
  type Runs,
  type SideResult,
} from './result.ts';
import {
  expectAllBack,
  type PeerBooks,
  type PeerServer,
  SERVERS,
  type ServerName,
  type Stocked,
} from './servers.ts';
import { SCENES, type Scene, SHAPES, type Shape, SIDES, type Side, type SideName } from './sides.ts';

export interface PeersOptions {
  readonly sides: readonly SideName[];
  /** Rounds in which every side has its turn. */
  readonly repeats: number;
  /** Measured time of one run. */
  readonly seconds: number;
  /** Measured time of each way to drive a side, of which the fastest is taken. */
  readonly trySeconds: number;
  readonly skus: number;
  readonly ttlMs: number;
  /** Whether to look for the fastest way to drive each side; else the first is taken. */
  readonly tryAll: boolean;
  /** Where to make the directory for what the servers write; by default a temporary directory that is on a disk. */
  readonly under?: string | undefined;
  readonly onProgress?: (text: string) => void;
}

const FEW_UNITS = 100;
/** Far longer than it takes to sell them out. */
const SCARCE_TTL_MS = 8_000;
const SCARCE_DRIVE: Drive = { connections: 8, inFlight: 4, holdsPerRequest: 1 };
const SCARCE_TRIES = 10;

/** Runs every side in turns on servers of its own; rejects when one fails or its books are wrong at the end. */
export async function benchPeers(options: PeersOptions): Promise<PeersReport> {
  const machine = describeMachine();
  const before = readCpu();
  const missing = options.sides.flatMap((name) => {
    const why = SERVERS[SIDES[name].server].missing();
    return why === undefined ? [] : [{ name, title: SIDES[name].title, why }];
  });
  const names = options.sides.filter((name) => !missing.some((each) => each.name === name));
  const run = new PeersRun(options, names);
  try {
    await run.start();
    const sides = await run.measure();
    const { disk } = run.place;
    const { steal, others } = judge(before, readCpu());
    const trusted = disk.real && sides.every(({ results }) => results.every((result) => result.trusted));
    const { repeats, seconds, skus, ttlMs } = options;
    const used = { repeats, seconds, skus, ttlMs };
    return { machine, versions: versions(), disk, options: used, steal, others, trusted, sides, missing };
  } finally {
    await run.stop();
  }
}

class PeersRun {
  readonly place: Place;
  private readonly options: PeersOptions;
  private readonly names: readonly SideName[];
  private readonly stocked: Stocked;
  private scarceUntilMs = 0;
  private readonly servers = new Map<ServerName, PeerServer>();
  private readonly pool = loadThreads(new URL('./load.ts', import.meta.url));

  constructor(options: PeersOptions, names: readonly SideName[]) {
    this.place = new Place(options.under);
    this.options = options;
    this.names = names;
    this.stocked = { skus: options.skus, scarceSkus: names.length, fewUnits: FEW_UNITS };
  }

  async start(): Promise<void> {
    for (const name of new Set(this.names.map((side) => SIDES[side].server))) {
      this.options.onProgress?.(`starting ${name}`);
      this.servers.set(name, await SERVERS[name].start(this.place, this.stocked));
    }
  }

  async measure(): Promise<SideResult[]> {
    const soldOut = new Map<SideName, SideResult['soldOut']>();
    for (const name of this.names) soldOut.set(name, await this.sellOut(name));
    const results = new Map<SideName, PeerResult[]>(this.names.map((name) => [name, []]));
    for (const shape of SHAPES) {
      for (const scene of SCENES) {
        const names = this.names.filter((name) => drivesOf(name, scene, shape).length > 0);
        const fastest = new Map<SideName, Drive>();
        for (const name of names) fastest.set(name, await this.fastestDrive(name, scene, shape));
        const { runs, ...watch } = await watched(() => this.rounds(scene, shape, fastest));
        for (const [name, own] of runs) {
          const drive = fastest.get(name) as Drive;
          results.get(name)?.push(peerResult(scene, shape, drive, own, runs, watch));
        }
      }
    }
    const books = new Map<ServerName, PeerBooks>();
    for (const [name, server] of this.servers) {
      await this.sweepUp(name);
      books.set(name, await expectAllBack(name, server, this.stocked, BOOKS_MS));
    }
    return this.names.map((name) => {
      const { title, durability, way, server }: Side = SIDES[name];
      const sold = soldOut.get(name) as SideResult['soldOut'];
      const own = books.get(server) as PeerBooks;
      const oversold = Math.max(0, sold.accepted - sold.units) + own.oversold;
      return {
        name,
        title,
        durability,
        way,
        soldOut: sold,
        oversold,
        results: results.get(name) ?? [],
        books: own,
      };
    });
  }

  async stop(): Promise<void> {
    await this.pool.destroy();
    await Promise.allSettled([...this.servers.values()].map((server) => server.stop()));
    this.place.remove();
  }

  /** Runs a SKU of few units until somebody is refused. */
  private async sellOut(name: SideName): Promise<SideResult['soldOut']> {
    this.options.onProgress?.(`${SIDES[name].title}: selling out`);
    const firstSku = this.options.skus + this.names.indexOf(name);
    const units = FEW_UNITS;
    let [accepted, refused] = [0, 0];
    for (let i = 0; i < SCARCE_TRIES && refused === 0; i++) {
      const load = {
        skus: 1,
        firstSku,
        ttlMs: SCARCE_TTL_MS,
        warmUpMs: 0,
        measureMs: 100,
        untilEnded: false,
      };
      const result = await this.load(name, { ...SCARCE_DRIVE, ...load });
      accepted += result.accepted;
      refused += result.refused;
    }
    this.scarceUntilMs = performance.now() + SCARCE_TTL_MS;
    return expectSoldOut(SIDES[name].title, { units, accepted, refused });
  }

  /** Drives a side each way for a moment. It warms the side up as well. */
  private async fastestDrive(name: SideName, scene: Scene, shape: Shape): Promise<Drive> {
    let [best, bestRate] = [SCARCE_DRIVE, -1];
    const drives = drivesOf(name, scene, shape);
    for (const drive of this.options.tryAll ? drives : drives.slice(0, 1)) {
      this.options.onProgress?.(`${SIDES[name].title}, ${scene}, ${shape}: ${describeDrive(drive)}`);
      const { acceptedPerSecond, endedShare } = await this.steady(
        name,
        scene,
        drive,
        this.options.trySeconds,
      );
      // Where holds end more slowly than they come, it could not go on like that.
      const rate = acceptedPerSecond * Math.min(1, endedShare ?? 1);
      if (rate > bestRate) [best, bestRate] = [drive, rate];
    }
    return best;
  }

  private async rounds(scene: Scene, shape: Shape, drives: Map<SideName, Drive>): Promise<{ runs: Runs }> {
    const runs: Runs = new Map([...drives.keys()].map((name) => [name, []]));
    for (let round = 1; round <= this.options.repeats; round++) {
      this.options.onProgress?.(`${scene}, ${shape}: round ${round} of ${this.options.repeats}`);
      for (const [name, drive] of drives)
        runs.get(name)?.push(await this.steady(name, scene, drive, this.options.seconds));
    }
    return { runs };
  }

  private async steady(name: SideName, scene: Scene, drive: Drive, seconds: number): Promise<PeerLoadResult> {
    const { ttlMs, skus } = this.options;
    // Steady means that holds end as fast as they come before counting begins.
    const times = { ttlMs, warmUpMs: 1.5 * ttlMs + seconds * 100, measureMs: seconds * 1000 };
    const load = { ...times, skus: scene === 'hot' ? 1 : skus, firstSku: 0, untilEnded: true };
    const result = await this.load(name, { ...drive, ...load });
    await this.servers.get(SIDES[name].server)?.rest?.();
    return result;
  }

  /** A short load when the holds of the scarce SKUs are due, for the sake of its sweeper. */
  private async sweepUp(server: ServerName): Promise<void> {
    await sleep(Math.max(0, this.scarceUntilMs - performance.now()));
    const name = this.names.find((side) => SIDES[side].server === server) as SideName;
    const times = { ttlMs: 1, warmUpMs: 0, measureMs: 10, untilEnded: true };
    await this.load(name, { ...SCARCE_DRIVE, ...times, skus: 1, firstSku: 0 });
  }

  private load(
    name: SideName,
    load: Omit<PeerLoad, 'dialect' | 'asynchronous' | 'port' | 'pid' | 'password' | 'drainMs'>,
  ): Promise<PeerLoadResult> {
    const { dialect, asynchronous }: Side = SIDES[name];
    const { port, pid, password, failure } = this.serverOf(name);
    const task: PeerLoad = { ...load, dialect, asynchronous, port, pid, password, drainMs: DRAIN_MS };
    const signal = AbortSignal.timeout(Math.ceil(load.warmUpMs + load.measureMs + DRAIN_MS) + STUCK_MS);
    return blaming(failure, this.pool.run(task, { signal }) as Promise<PeerLoadResult>).catch((error) => {
      throw new Error(`${SIDES[name].title}: ${error instanceof Error ? error.message : error}`);
    });
  }

  private serverOf(name: SideName): PeerServer {
    return this.servers.get(SIDES[name].server) as PeerServer;
  }
}

function drivesOf(name: SideName, scene: Scene, shape: Shape): readonly Drive[] {
  return (SIDES[name] as Side).drives[scene][shape] ?? [];
}

function versions(): Record<string, string> {
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  const redis = /v=([\d.]+)/.exec(stdout ?? '')?.[1];
  const postgres = postgresVersion();
  return {
    holdfast: versionOf('holdfast'),
    node: process.version.slice(1),
    ws: versionOf('ws'),
    ...(redis !== undefined && { redis }),
    ...(postgres !== undefined && { postgresql: postgres }),
  };
}

function versionOf(name: string): string {
  return (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;
}
