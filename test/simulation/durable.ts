/**
 * The simulation with a store: group commits, snapshots and trimming on a disk in memory, which can lose its power or its room at any
 * call, and a server that is started again from what is left. Front, rings, shards, journal, snapshots and recovery are the real ones.
 *
 *     node_modules/.bin/node test/simulation/replay.ts --durable --seed 123 --verbose    every step of one run
 *     HOLDFAST_RUNS=5000 npm test -- test/simulation/durable                             more runs than the suite has time for
 */
import { basename } from 'node:path';
import { allocateEngine } from '../../src/shard/memory.ts';
import {
  type JournalCheck,
  type JournalReader,
  type Possession,
  StoreError,
} from '../../src/storage/store.ts';
import { type End, SimMachine } from './disk.ts';
import { DurableJudge } from './durable-judge.ts';
import {
  type DurableScenario,
  drawDurableScenario,
  STORE_STEPS,
  type StoreStep,
} from './durable-scenario.ts';
import type { Mutation } from './engine.ts';
import { SimMaintenance } from './maintenance.ts';
import { MOST_ASKED, type Report, type RunOptions, Simulation } from './simulator.ts';
import { type Started, startServer } from './start.ts';
import { SimStorage } from './storage.ts';

/** Something that is done wrong around the store. */
export interface DurableMutation extends Mutation {
  /** Gets the machine, and the journal's check and reader before they are used. */
  readonly machine?: (machine: SimMachine) => void;
  readonly check?: (check: JournalCheck, machine: SimMachine) => JournalCheck;
  readonly reader?: (reader: JournalReader) => JournalReader;
  readonly rebuildReader?: (reader: JournalReader) => JournalReader;
  readonly storage?: (storage: SimStorage) => void;
  readonly maintenance?: (maintenance: SimMaintenance, storage: SimStorage) => void;
}

export interface DurableOptions extends Omit<RunOptions, 'mutation'> {
  mutation?: DurableMutation;
}

/** Runs one seed to its end, or to the first violation. */
export function simulateDurable(seed: number, options: DurableOptions = {}): Promise<Report> {
  return new DurableSimulation(seed, options).run();
}

/** What others do while one waits for the disk. */
const MEANWHILE = ['frame', 'turn', 'worker', 'worker', 'tick', 'storage', 'adopt'] as const;
const MOST_MEANWHILE = 4;
/** How long a server is away, at most, ms. */
const DOWN_MS = 300;
const HOUR_MS = 3_600_000;
/** A recovery may be interrupted itself. */
const MOST_STARTS = 20;
/** Steps after which a rebuilding must have come to its end. */
const REBUILD_ROUNDS = 200;

class DurableSimulation extends Simulation<DurableJudge> {
  declare protected readonly scenario: DurableScenario;
  declare protected readonly mutation: DurableMutation;
  private readonly machine: SimMachine;
  private possession!: Possession;
  /** Server's time at the start of this run. */
  private startedMs = 0;
  private storage!: SimStorage;
  private maintenance!: SimMaintenance;
  private readonly storeSteps: readonly StoreStep[];
  private damaged = false;
  private wallJumped = false;
  /** Whether a step is being taken within another one, and what went wrong in such a step. */
  private nested = false;
  private nestedError: unknown;

  constructor(seed: number, options: DurableOptions) {
    const scenario = drawDurableScenario(seed);
    super(seed, options, scenario, (clock, count) => {
      return new DurableJudge(allocateEngine(scenario.engine), scenario.skewMs, clock, count);
    });
    this.machine = new SimMachine(this.prng, scenario.startMs, this.count);
    this.storeSteps = STORE_STEPS.flatMap((kind) =>
      new Array<StoreStep>(scenario.storeWeights[kind]).fill(kind),
    );
    this.mutation.machine?.(this.machine);
  }

  async run(): Promise<Report> {
    this.trace.note('scenario', [this.seed], () => JSON.stringify(this.scenario));
    try {
      await this.start();
      this.letIn();
      await this.play();
    } catch (error) {
      this.crashed(error);
    }
    return this.report();
  }

  private async play(): Promise<void> {
    const { judge } = this;
    this.crowd.stock();
    for (let step = 0; step < this.scenario.steps && this.clean; step++) {
      await this.stepAny();
      if (this.clean && this.isGone) await this.restart('kill');
    }
    await this.settle();
    if (!this.clean) return;
    judge.inspect(this.engine.struck());
    // At the latest now, everything is lost that is not on the disk.
    await this.restart(this.scenario.ack === 'sync' ? 'power' : 'kill');
    if (!this.clean) return;
    await this.settle();
    this.crowd.askForHolds(MOST_ASKED);
    this.finish();
    this.passDeadlines();
    this.crowd.askForSkus();
    this.finish();
    judge.inspect(this.engine.struck());
    await this.restart('kill');
    await this.settle();
    this.crowd.askForSkus();
    this.finish();
    if (this.scenario.ack === 'sync') return;
    // What is promised no one may be gone; what is left has to be one whole.
    judge.lasting = false;
    await this.restart('power');
  }

  private get isGone(): boolean {
    return this.machine.end !== undefined || this.storage.phase === 'failed';
  }

  private async stepAny(): Promise<void> {
    const { prng, storeSteps, scenario } = this;
    const all = Object.values(scenario.weights).reduce((sum, weight) => sum + weight, 0);
    const at = prng.below(all + storeSteps.length);
    if (at >= storeSteps.length) this.step(this.drawStep());
    else await this.storeStep(storeSteps[at]);
    this.handOn();
    if (this.nestedError !== undefined) throw this.nestedError;
  }

  /** What died over is to be rebuilt. */
  private handOn(): void {
    for (const segment of this.engine.fenced.splice(0)) this.maintenance.rebuild(segment);
  }

  private async storeStep(kind: StoreStep): Promise<void> {
    const { machine, engine, prng } = this;
    this.trace.note(kind, [engine.now], () => (kind === 'storage' ? this.storage.phase : ''));
    switch (kind) {
      case 'storage':
        this.storage.step();
        break;
      case 'maintenance':
        await this.maintenance.step(true);
        break;
      case 'power':
      case 'kill':
        if (prng.oneIn(3)) machine.end ??= kind;
        else machine.threaten(kind);
        break;
      case 'broken-sync':
        machine.breakSync();
        break;
      case 'room':
        machine.toggleRoom();
        break;
      case 'stall':
        this.lookForStall();
        break;
      case 'stop':
        await this.stop();
        break;
      default:
        this.wallJumped = true;
        this.judge.readsAhead = true;
        machine.wallMs += prng.pick([-HOUR_MS, HOUR_MS, -1_000]);
        this.count('wall-jump');
    }
  }

  private lookForStall(): void {
    const { engine, judge } = this;
    const stalled = engine.fronts[0].durability.stalled(engine.now, this.scenario.stallMs);
    if (stalled && !judge.refusing) this.count('stalled');
    for (const front of engine.fronts) front.setStalled(stalled);
    judge.refusing = stalled;
    // From here on some have read what may be lost: replies that were parked wait, also when it is over.
    judge.readsAhead ||= stalled;
  }

  /** Between two calls of somebody to the disk, others get on. */
  private others(): void {
    const { prng, scenario, machine } = this;
    if (this.nested || !prng.oneIn(scenario.interleaving)) return;
    this.nested = true;
    try {
      for (
        let steps = 1 + prng.below(MOST_MEANWHILE);
        steps > 0 && this.clean && machine.end === undefined;
        steps--
      ) {
        const kind = prng.pick(MEANWHILE);
        if (kind === 'storage') this.storage.step();
        else this.step(kind);
      }
    } catch (error) {
      this.nestedError ??= error;
    }
    this.nested = false;
  }

  /** No more faults: everything that was sent is answered, and every segment in service. */
  private async settle(): Promise<void> {
    if (this.storage.doomed) await this.restart('kill');
    const { engine, machine, crowd, judge } = this;
    if (!this.clean) return;
    engine.makePeace();
    engine.pumpStalled = false;
    machine.calm();
    machine.meanwhile = undefined;
    for (const front of engine.fronts) front.setStalled(false);
    judge.refusing = false;
    crowd.readAll();
    engine.adoptAll();
    this.handOn();
    for (let round = 0; round < REBUILD_ROUNDS && this.clean && !this.maintenance.idle; round++) {
      await this.maintenance.step(false);
      for (const worker of engine.workers) worker.step();
      this.storage.step();
    }
    if (!this.maintenance.idle) judge.violate('stuck', 'a segment is not rebuilt');
    this.finish();
  }

  protected override serveOthers(): void {
    for (let i = 0; i < 8 && this.storage.step(); i++);
    if (this.storage.phase === 'failed')
      this.judge.violate('stuck', 'the store failed, and nothing was wrong');
  }

  /** The server is asked to stop, and does it in order, unless its end comes first. Then nothing at all is lost, whatever comes. */
  private async stop(): Promise<void> {
    const { machine, judge, prng } = this;
    await this.settle();
    if (!this.clean) return;
    // The workers have ended by now, and what they left in their rings is still made durable.
    for (const worker of this.engine.workers) worker.end();
    while (this.storage.step());
    if (prng.oneIn(3)) machine.threaten(this.scenario.ack === 'sync' ? 'power' : 'kill');
    try {
      await this.storage.writer.close();
      await this.possession.release();
      judge.complete = machine.end === undefined;
      this.count('stop');
    } catch (error) {
      if (machine.end === undefined) throw error;
    }
    await this.restart(prng.oneIn(2) ? 'power' : 'kill');
    judge.complete = false;
  }

  /** The server is gone, and another one starts from what is left. */
  private async restart(end: End): Promise<void> {
    const { machine, engine, crowd, prng, scenario } = this;
    if (!this.clean) return;
    machine.end ??= end;
    crowd.loseAll();
    const ranMs = engine.now - this.startedMs;
    const downMs = prng.below(DOWN_MS);
    machine.pass(ranMs + downMs);
    const wantedMs = engine.now + downMs;
    const by = machine.fall();
    this.trace.note('restart', [engine.now], () => by);
    if (scenario.damage && !this.damaged) this.damageSnapshot();
    if (prng.oneIn(4)) machine.threaten(scenario.ack === 'sync' && prng.oneIn(2) ? 'power' : 'kill');
    await this.start();
    if (!this.clean) return;
    if (!this.wallJumped && this.engine.now !== wantedMs)
      this.judge.violate('time', `the server's time is ${this.engine.now}, and was to be ${wantedMs}`);
    crowd.comeBack();
    if (prng.oneIn(2)) crowd.stock();
    if (prng.oneIn(2)) crowd.askForHolds(MOST_ASKED / 3);
  }

  private async start(): Promise<void> {
    const { machine, judge } = this;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.recover();
        return;
      } catch (error) {
        const expected = machine.end !== undefined || (error instanceof StoreError && this.isForFault(error));
        if (!expected || attempt === MOST_STARTS) {
          judge.violate('recovery', error instanceof Error ? (error.stack ?? error.message) : String(error));
          return;
        }
        this.count('recovery-interrupted');
        machine.end ??= 'kill';
        machine.fall();
      }
    }
  }

  /** A start fails for want of room, which somebody makes, and for a sync that fails. */
  private isForFault(error: StoreError): boolean {
    if (error.code === 'FULL') this.machine.calm();
    return error.code === 'FULL' || error.code === 'FAILED';
  }

  private async recover(): Promise<void> {
    const { machine, mutation, scenario, count } = this;
    const started = await startServer({
      machine,
      scenario,
      count,
      check: (check) => mutation.check?.(check, machine) ?? check,
      reader: (reader) => mutation.reader?.(reader) ?? reader,
    });
    this.judge.served(started.memory, started.recovery);
    this.serve(started);
  }

  /** The engine runs, and the threads beside it. */
  private serve({ memory, possession, writer, nowMs }: Started): void {
    const { machine, judge, mutation, prng, count } = this;
    this.startedMs = nowMs;
    this.possession = possession;
    this.begin(memory, nowMs);
    this.storage = new SimStorage(memory, writer, count);
    mutation.storage?.(this.storage);
    this.maintenance = new SimMaintenance({
      memory,
      durability: this.engine.fronts[0].durability,
      storage: this.storage,
      store: possession.store,
      identity: possession.identity,
      prng,
      count,
      tamper: (reader) => mutation.rebuildReader?.(reader) ?? reader,
      rebuilt: (found) => judge.rebuilt(found),
      gone: () => machine.end !== undefined,
    });
    mutation.maintenance?.(this.maintenance, this.storage);
    judge.refusing = false;
    machine.meanwhile = () => this.others();
  }

  /** A bit of a segment's newest snapshot flips; there is an older one, or the whole journal. */
  private damageSnapshot(): void {
    const { machine, prng } = this;
    const paths = machine.layer.paths().filter((path) => path.endsWith('.snapshot'));
    if (paths.length === 0) return;
    const [segment] = basename(prng.pick(paths)).split('-');
    const newest = paths.filter((path) => basename(path).startsWith(`${segment}-`)).at(-1) as string;
    const bytes = machine.layer.bytesOf(newest).slice();
    bytes[prng.below(bytes.length)] ^= 1 << prng.below(8);
    machine.layer.replace(newest, bytes);
    this.damaged = true;
    this.count('snapshot-damaged');
  }
}
