import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { RingConsumer } from '../../src/ring/consumer.ts';
import { DOORBELL_BYTES, Doorbell } from '../../src/ring/doorbell.ts';
import { RingProducer } from '../../src/ring/producer.ts';
import { CAPACITY_BYTES, type EchoReport, echoMemory, loiter, UNHEARD_MS } from './fixtures/echo.ts';

/** Far beyond any test's time-out: whoever sleeps until then has missed its wake-up. */
const NEVER_MS = 600_000;
const SEED = 20_261;

/** Two objects over one doorbell, as two threads hold them. */
function bells() {
  const sab = new SharedArrayBuffer(2 * DOORBELL_BYTES);
  return { sleeper: new Doorbell(sab, DOORBELL_BYTES), publisher: new Doorbell(sab, DOORBELL_BYTES) };
}

describe('a doorbell', () => {
  test('is not rung while nobody sleeps', () => {
    const { publisher } = bells();
    expect([publisher.isSleeping(), publisher.ring()]).toEqual([false, false]);
  });

  test('does not let a thread sleep that finds work at its last look', () => {
    const { sleeper, publisher } = bells();
    expect(sleeper.sleep(NEVER_MS, () => publisher.isSleeping())).toBe(true);
    expect(publisher.isSleeping()).toBe(false);
  });

  test('rung between the last look and the sleep, it ends the sleep at once', () => {
    const { sleeper, publisher } = bells();
    const rung: boolean[] = [];
    const lookThenRing = () => {
      rung.push(publisher.ring(), publisher.ring());
      return false;
    };
    expect(sleeper.sleep(NEVER_MS, lookThenRing)).toBe(true);
    expect(rung).toEqual([true, false]);
  });

  test('lets the sleeper go when the time is over', () => {
    const { sleeper, publisher } = bells();
    expect(sleeper.sleep(1, () => false)).toBe(false);
    expect([publisher.isSleeping(), publisher.ring()]).toEqual([false, false]);
  });
});

describe('a doorbell for an event loop', () => {
  test('does not let a loop sleep that finds work at its last look', () => {
    const { sleeper, publisher } = bells();
    expect(sleeper.sleepAsync(NEVER_MS, () => publisher.isSleeping())).toBe(undefined);
    expect(publisher.isSleeping()).toBe(false);
  });

  test('rung between the last look and the sleep, there is no sleep', () => {
    const { sleeper, publisher } = bells();
    expect(sleeper.sleepAsync(NEVER_MS, () => !publisher.ring())).toBe(undefined);
    expect(publisher.isSleeping()).toBe(false);
  });

  test('wakes it when rung', async () => {
    const { sleeper, publisher } = bells();
    const sleep = sleeper.sleepAsync(NEVER_MS, () => false);
    expect([publisher.isSleeping(), publisher.ring(), publisher.ring()]).toEqual([true, true, false]);
    expect(await sleep?.value).toBe('ok');
  });

  test('lets it go when the time is over', async () => {
    const { sleeper, publisher } = bells();
    expect(await sleeper.sleepAsync(1, () => false)?.value).toBe('timed-out');
    expect(publisher.isSleeping()).toBe(false);
  });

  test('with no time to sleep, there is no sleep', () => {
    const { sleeper, publisher } = bells();
    expect(sleeper.sleepAsync(0, () => false)).toBe(undefined);
    expect(publisher.isSleeping()).toBe(false);
  });

  test('keeps one pending sleep, however often the loop wakes for other reasons', async () => {
    const { sleeper, publisher } = bells();
    const first = sleeper.sleepAsync(NEVER_MS, () => false);
    sleeper.awake();
    expect(publisher.ring()).toBe(false);
    expect(sleeper.sleepAsync(NEVER_MS, () => false)).toBe(first);
    expect(publisher.ring()).toBe(true);
    expect(await first?.value).toBe('ok');
    const second = sleeper.sleepAsync(NEVER_MS, () => false);
    expect(second).not.toBe(first);
    publisher.ring();
    expect(await second?.value).toBe('ok');
  });
});

describe('two threads that sleep after every record', () => {
  const ROUNDS = 4000;

  async function startEcho(rounds: number) {
    const memory = echoMemory();
    const there = new RingProducer(memory.sab, memory.there, CAPACITY_BYTES);
    const back = new RingConsumer(memory.sab, memory.back, CAPACITY_BYTES);
    const echoBell = new Doorbell(memory.sab, memory.echoBell);
    const ownBell = new Doorbell(memory.sab, memory.ownBell);
    const worker = new Worker(new URL('./fixtures/echo-worker.ts', import.meta.url), {
      workerData: { memory, rounds, seed: SEED },
    });
    await once(worker, 'message');
    const send = (round: number) => {
      there.claim(0, round);
      there.publish();
      echoBell.ring();
    };
    return { worker, send, back, ownBell, ready: () => back.fill() > 0 };
  }

  test('lose no wake-up when both block', async () => {
    const { worker, send, back, ownBell, ready } = await startEcho(ROUNDS);
    const random = new Prng(SEED + 1);
    let lost = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      send(round);
      loiter(random);
      while (back.next() < 0) {
        if (!ownBell.sleep(UNHEARD_MS, ready) && ready()) lost += 1;
      }
      expect(back.tag).toBe(round);
      back.release();
    }
    const [report] = (await once(worker, 'message')) as [EchoReport];
    expect({ lost, ...report }).toEqual({ lost: 0, lostByEcho: 0, echoed: ROUNDS });
  });

  test('lose no wake-up when one of them runs an event loop', async () => {
    const { worker, send, back, ownBell, ready } = await startEcho(ROUNDS);
    const random = new Prng(SEED + 2);
    const finished = once(worker, 'message');
    // A pending Atomics.waitAsync keeps no process alive, but the worker does.
    let lost = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      send(round);
      loiter(random);
      while (back.next() < 0) {
        const outcome = await ownBell.sleepAsync(UNHEARD_MS, ready)?.value;
        if (outcome === 'timed-out' && ready()) lost += 1;
      }
      expect(back.tag).toBe(round);
      back.release();
    }
    const [report] = (await finished) as [EchoReport];
    expect({ lost, ...report }).toEqual({ lost: 0, lostByEcho: 0, echoed: ROUNDS });
  });
});
