import { describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Prng } from '../../src/base/prng.ts';
import {
  Event,
  EventType,
  eventGeneration,
  eventSegment,
  eventSlot,
  eventType,
} from '../../src/core/events.ts';
import { RingConsumer } from '../../src/ring/consumer.ts';
import { LANES, Lane, laneOf } from '../../src/shard/lanes.ts';
import { Lease } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { type Arrival, changeOf, orderComplaints } from '../fixtures/recorded-order.ts';
import { NOW } from '../front/fixtures.ts';
import { lease, Rig, SEGMENTS, sku } from './fixtures.ts';

const FRONTS = 3;
const COMMANDS = 3000;
const SEEDS = [1, 2, 3, 4, 5, 6];
const SKUS = Array.from({ length: SEGMENTS }, (_, segment) => sku(segment));
const LEAST_TTL_MS = 1_000_000;
const LEAST_TOTAL = 1_000_000;
const SLOTS = 2 ** 22;

interface Held {
  readonly id: number;
  readonly sku: string;
}

/** One worker between three fronts and its event ring, which is what the journal is written from. The seed decides whose turn it is. */
class Recorder {
  readonly arrivals: Arrival[] = [];
  readonly journal: string[] = [];
  deaths = 0;
  private readonly rig = new Rig({
    fronts: FRONTS,
    segment: { holds: 8192 },
    ...{ commandRingBytes: 2 ** 20, replyRingBytes: 2 ** 20, events: { ringBytes: 2 ** 20, gated: false } },
  });
  private readonly events: RingConsumer;
  private readonly prng: Prng;
  /** Open holds of each front, which alone uses them; and the SKU of each HOLD under way by its request id. */
  private readonly held: Held[][] = Array.from({ length: FRONTS }, () => []);
  private readonly skuOf = new Map<number, string>();
  private shard = this.rig.anotherShard();
  private count = 0;

  constructor(seed: number) {
    this.prng = new Prng(seed);
    const [own] = this.rig.memory.workers;
    this.events = new RingConsumer(own.sab, own.events, own.eventRingBytes);
    this.rig.stockAll(LEAST_TOTAL - 1);
    this.drain();
    this.journal.length = 0;
  }

  run(): void {
    const { prng } = this;
    while (this.count < COMMANDS) {
      if (prng.oneIn(2)) this.send(prng.below(FRONTS));
      else this.work(1 + prng.below(100));
    }
    while (this.work(1000) > 0);
  }

  /** A frame of commands over a connection, with the claim `vip` or without. */
  private send(front: number): void {
    const { prng } = this;
    const vip = prng.oneIn(2);
    const commands = Array.from({ length: 1 + prng.below(40) }, () => this.draw(front, vip));
    this.rig.send(commands, Mode.BINARY, front, vip);
  }

  /** A command that will change something, whatever happens before it. */
  private draw(front: number, vip: boolean): unknown[] {
    const { prng } = this;
    const id = ++this.count;
    const held = this.held[front];
    const at = prng.below(held.length + 1);
    const hold = held[at];
    // Later deadlines each time, so that none leaves the hold as it is.
    const ttlMs = LEAST_TTL_MS + id;
    if (hold !== undefined && !prng.oneIn(3)) {
      const confirms = prng.oneIn(4);
      if (confirms) held.splice(at, 1);
      const [op, type, what] = confirms ? [Op.CONFIRM, 'CONFIRMED', hold.id] : [Op.EXTEND, 'EXTENDED', ttlMs];
      this.note(front, op, vip, hold.sku, changeOf(type, what));
      return [op, id, BigInt(hold.id), ...(confirms ? [] : [ttlMs])];
    }
    const name = prng.pick(SKUS);
    if (prng.oneIn(8)) {
      this.note(front, Op.STOCK, vip, name, changeOf('STOCKED', LEAST_TOTAL + id));
      return [Op.STOCK, id, name, StockMode.TOTAL, LEAST_TOTAL + id];
    }
    this.skuOf.set(id, name);
    this.note(front, Op.HOLD, vip, name, changeOf('HELD', ttlMs));
    return [Op.HOLD, id, name, 1, ttlMs];
  }

  private note(front: number, op: number, vip: boolean, name: string, change: string): void {
    this.arrivals.push({ source: `front ${front}`, lane: laneOf(op, vip), sku: name, change });
  }

  /** The worker runs some commands; now and then its thread dies before they are published, and another one goes on. */
  private work(most: number): number {
    const done = lease(this.shard).runCommands(NOW, most);
    if (this.prng.oneIn(10)) {
      this.deaths++;
      this.shard = this.rig.anotherShard();
      expect(this.shard.adopt(Lease.WORKER)).toBe(-1);
    }
    this.shard.release();
    this.drain();
    return done;
  }

  /** Clients take their replies, and the journal its events. */
  private drain(): void {
    for (const [front, held] of this.held.entries()) {
      for (const { op, status, reply } of this.rig.take(front)) {
        expect(status).toBe(Status.OK);
        const [request, , holdId] = reply as number[];
        if (op === Op.HOLD) held.push({ id: holdId, sku: this.skuOf.get(request) as string });
      }
    }
    for (let at = this.events.next(); at >= 0; at = this.events.next()) this.write((at >> 2) - Event.TIME);
    this.events.release();
  }

  private write(at: number): void {
    const { i32 } = this.events;
    const segment = eventSegment(i32[at + Event.TAG]);
    const hold = i32[at + Event.HOLD];
    switch (eventType(i32[at + Event.TAG])) {
      case EventType.HELD:
        this.journal.push(changeOf('HELD', i32[at + Event.HELD_TTL]));
        return;
      case EventType.EXTENDED:
        this.journal.push(changeOf('EXTENDED', i32[at + Event.AMOUNT]));
        return;
      case EventType.STOCKED:
        this.journal.push(changeOf('STOCKED', i32[at + Event.STOCKED_TOTAL]));
        return;
      default:
        this.journal.push(
          changeOf('CONFIRMED', (eventGeneration(hold) * 1024 + segment) * SLOTS + eventSlot(hold)),
        );
    }
  }
}

describe('the order in the journal', () => {
  it.each(SEEDS)(
    `is that of the arrival at each front, within a lane and a SKU, over deaths: ${COMMANDS} commands of seed %i`,
    (seed) => {
      const recorder = new Recorder(seed);
      recorder.run();
      const { arrivals, journal, deaths } = recorder;
      expect(orderComplaints(arrivals, journal)).toEqual([]);
      expect(journal).toHaveLength(arrivals.length);
      expect(deaths).toBeGreaterThan(3);
      for (let lane = 0; lane < LANES; lane++) {
        expect(arrivals.filter((arrival) => arrival.lane === lane).length).toBeGreaterThan(COMMANDS / 20);
      }
      // Lanes matter: what came earlier was overtaken by commands on holds.
      expect(overtaken(arrivals, journal)).toBeGreaterThan(COMMANDS / 20);
    },
  );

  it('is complained of when it is another', () => {
    const recorder = new Recorder(7);
    recorder.run();
    const { arrivals, journal } = recorder;
    for (const lane of [Lane.SETTLE, Lane.VIP, Lane.NORMAL]) {
      const own = arrivals.filter((arrival) => arrival.lane === lane && arrival.sku === SKUS[0]);
      const [first, second] = own
        .filter(({ source }) => source === 'front 1')
        .map(({ change }) => journal.indexOf(change));
      const swapped = [...journal];
      [swapped[first], swapped[second]] = [journal[second], journal[first]];
      expect(orderComplaints(arrivals, swapped)).not.toEqual([]);
    }
    expect(orderComplaints(arrivals, journal.slice(1))).toEqual([`${journal[0]} is not in the journal`]);
    expect(orderComplaints(arrivals, [...journal, journal[0]])).toContain(
      `${journal[0]} is in the journal twice`,
    );
    const early = arrivals.find(({ lane }, at) => lane === Lane.SETTLE && at > 100) as Arrival;
    const late = [...journal.filter((change) => change !== early.change), early.change];
    expect(orderComplaints(arrivals, late).join()).toMatch(
      /the normal lane went before one of the settle lane/,
    );
  });
});

/** Commands on SKUs that stand behind a command on a hold of the same front and SKU that came later. */
function overtaken(arrivals: readonly Arrival[], journal: readonly string[]): number {
  const places = new Map(journal.map((change, place) => [change, place]));
  const earliest = new Map<string, number>();
  let count = 0;
  for (const { source, lane, sku: name, change } of [...arrivals].reverse()) {
    const place = places.get(change) as number;
    const line = `${source} ${name}`;
    if (lane === Lane.SETTLE) earliest.set(line, Math.min(place, earliest.get(line) ?? place));
    else if (place > (earliest.get(line) ?? Number.POSITIVE_INFINITY)) count++;
  }
  return count;
}
