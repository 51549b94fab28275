import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Prng } from '../../src/base/prng.ts';
import { Desk, type Intent } from './desk.ts';
import { Judge } from './judge.ts';
import { Link } from './link.ts';
import { KEY_RETENTION_MS, SEGMENTS, SOLD_RETENTION_MS } from './server-process.ts';
import { ServerTime } from './server-time.ts';
import { Shopper } from './shopper.ts';
import type { SkuPlan } from './stock-book.ts';
import { Stocker } from './stocker.ts';

const LANES = 2;
const SKUS = 24;
/** Times to live of holds, ms: many end while the server is down or starts. */
const TTL_MS = [20, 4000] as const;
/** A short frame keeps every reply small. */
const FRAME = 200;
const CLOCK_READINGS = 5;
/** Units of an expired hold come back within this time even on a busy machine. */
const GRACE_MS = 60_000;

/** Twenty-four SKUs: one that everybody wants and hardly anybody gets, some with limits, the others with plenty. */
export function planSkus(): SkuPlan[] {
  return Array.from({ length: SKUS }, (_, number) => {
    if (number === 0) return { name: 'hot', total: 40, maxPerHold: 3, maxPerHolder: 0, maxTtlMs: 1000 };
    const name = `sku-${number}`;
    if (number % 6 === 1) return { name, total: 500, maxPerHold: 2, maxPerHolder: 5, maxTtlMs: 0 };
    if (number % 6 === 2) return { name, total: 5_000, maxPerHold: 4, maxPerHolder: 0, maxTtlMs: 1500 };
    return { name, total: 1_000_000, maxPerHold: 0, maxPerHolder: 0, maxTtlMs: 0 };
  });
}

/** Everybody who talks to the server during a run, and the judge who reads their logs. */
export class Crowd {
  readonly judge: Judge;
  private readonly skus = planSkus();
  private readonly shoppers: readonly Shopper[];
  private readonly stocker: Stocker;
  private desks: Desk[] = [];
  private start = 0;
  private readonly originMs = performance.now();
  /** When the last HOLD can have been sent, by the clock of the clients. */
  private lastLoadMs = 0;
  private stocked = false;

  constructor(seed: number, shoppers: number) {
    const options = { soldRetentionMs: SOLD_RETENTION_MS, keyRetentionMs: KEY_RETENTION_MS };
    this.judge = new Judge(options, this.skus, new ServerTime());
    this.shoppers = Array.from({ length: shoppers }, (_, number) => {
      const prng = new Prng(seed + 1000 * (number + 1));
      return new Shopper(`shopper-${number}`, LANES, { skus: this.skus, ttlMs: TTL_MS }, this.judge, prng);
    });
    this.stocker = new Stocker(this.skus, this.judge, new Prng(seed + 500));
  }

  /** Clock of the clients, ms since the run began. */
  now = (): number => performance.now() - this.originMs;

  /** Commands that wait for an answer. */
  get pending(): number {
    return this.desks.reduce((sum, desk) => sum + desk.pending, 0);
  }

  /** Everybody connects to a server that has started, and its clock is looked at. Rejects when it dies meanwhile. */
  async connect(url: string): Promise<void> {
    this.start++;
    const asked = [
      [Stocker.holder, 0] as const,
      ...this.shoppers.flatMap(({ holder, lanes }) =>
        Array.from({ length: lanes }, (_, lane) => [holder, lane] as const),
      ),
    ];
    const time = new ServerTime();
    const outcomes = await Promise.allSettled(
      asked.map(async ([holder, lane]) => {
        const link = await Link.connect(url, holder);
        this.desks.push(new Desk(link, this.judge, this.now, { holder, lane, start: this.start }));
        return link;
      }),
    );
    const [first] = outcomes;
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined || first?.status !== 'fulfilled')
      throw failed?.reason ?? new Error('nobody connected');
    for (let reading = 0; reading < CLOCK_READINGS; reading++) {
      const sentMs = this.now();
      const timeMs = await first.value.time();
      if (timeMs === null) throw new Error('the connection ended');
      time.observe(sentMs, this.now(), timeMs);
    }
    this.judge.started(time);
  }

  /** Reads everything that was acknowledged, sends again what was not answered, and looks at the books. */
  async audit(): Promise<void> {
    const { judge } = this;
    if (!this.stocked) {
      const entries = await this.sendAll(this.desk(Stocker.holder), Stocker.opening(this.skus));
      this.stocked = entries.every(({ answer }) => answer?.[0] === Status.OK);
    }
    await Promise.all(this.shoppers.map((shopper) => this.auditHolder(shopper)));
    const desk = this.desk(Stocker.holder);
    for (const entry of await this.sendAll(
      desk,
      this.skus.map(({ name }) => ({ op: Op.READ, args: [name] })),
    )) {
      if (this.stocked) judge.checkBooks(entry);
    }
    await this.inspect();
    if (!desk.open) return;
    judge.tally.audits++;
    judge.retire(this.now());
  }

  /** Everybody does what they came for until `going` says no, or the server is gone. */
  async load(going: () => boolean): Promise<void> {
    const work = this.desks.map((desk) => {
      if (desk.holder === Stocker.holder) return this.stocker.work(desk, going);
      const shopper = this.shoppers.find(({ holder }) => holder === desk.holder) as Shopper;
      return shopper.shop(desk, going);
    });
    await Promise.all(work);
    this.lastLoadMs = this.now();
  }

  /** Waits until every deadline has passed, and longer if need be, and looks whether everything is back. */
  async settle(): Promise<void> {
    const desk = this.desk(Stocker.holder);
    const { judge } = this;
    const [, longestTtlMs] = TTL_MS;
    const overMs = Math.max(judge.lastDeadline(this.now()), this.lastLoadMs + longestTtlMs);
    await sleep(Math.max(0, overMs - this.now()));
    const reads = this.skus.map(({ name }) => ({ op: Op.READ, args: [name] }));
    let entries = await this.sendAll(desk, reads);
    for (const untilMs = this.now() + GRACE_MS; this.now() < untilMs && desk.open; ) {
      if (entries.every(({ answer }) => answer?.[2] === 0)) break;
      await sleep(50);
      entries = await this.sendAll(desk, reads);
    }
    for (const entry of entries) judge.checkReturned(entry);
    await this.audit();
    judge.finish();
  }

  /** Hangs up, or waits until it is clear that the server is gone; then every command is answered or given up. */
  async leave(hangUp: boolean): Promise<void> {
    await Promise.all(this.desks.map((desk) => (hangUp ? desk.close() : desk.closed)));
    this.desks = [];
  }

  private async auditHolder(shopper: Shopper): Promise<void> {
    const { judge } = this;
    const desk = this.desk(shopper.holder);
    const mine = [...judge.holds.values()].filter(({ holder }) => holder === shopper.holder);
    const entries = await this.sendAll(
      desk,
      mine.map(({ id }) => ({ op: Op.READ_HOLD, args: [id] })),
    );
    for (const { answer, args } of entries) {
      if (answer?.[0] !== Status.OK) continue;
      judge.tally.holdsAudited++;
      const hold = judge.holds.get(args[0] as number);
      if (hold !== undefined) hold.audited++;
    }
    await this.sendAll(desk, shopper.missing(), (hold) => shopper.take(hold));
    const known = shopper.known(this.now());
    judge.tally.keysSentAgain += known.length;
    await this.sendAll(desk, known);
  }

  private async inspect(): Promise<void> {
    const desk = this.desk(Stocker.holder);
    const segments = Array.from({ length: SEGMENTS }, (_, segment) => ({ op: Op.INSPECT, args: [segment] }));
    for (const entry of await this.sendAll(desk, segments)) this.judge.checkSegment(entry);
  }

  private async sendAll(
    desk: Desk,
    intents: readonly Intent[],
    onPlaced?: Parameters<Desk['send']>[1],
  ): ReturnType<Desk['send']> {
    const frames = Array.from({ length: Math.ceil(intents.length / FRAME) }, (_, at) =>
      intents.slice(at * FRAME, (at + 1) * FRAME),
    );
    return (await Promise.all(frames.map((frame) => desk.send(frame, onPlaced)))).flat();
  }

  private desk(holder: string): Desk {
    return this.desks.find((desk) => desk.holder === holder) as Desk;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
