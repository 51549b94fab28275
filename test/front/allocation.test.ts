import { describe, expect, it } from 'vitest';
import { bytesPerCall } from '../../perf/allocation.ts';
import { MAX_IN_FLIGHT } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import { type Status, statusName } from '../../protocol/status.ts';
import { frameOf } from './fixtures.ts';
import { InProcess } from './in-process.ts';

const PER_FRAME = 400;
/** Different frames that are sent in turn. */
const FRAMES = 8;
const SKUS = 100;
const TURNS = 30;
const WARM_UP_TURNS = 200;
/** An accepted HOLD's reply has 25 bytes, the last 8 but 9 of them the hold's id; a command on a hold has its id 8 bytes in. */
const REPLY_BYTES = 25;
const ID_IN_REPLY = 8;
const ID_IN_COMMAND = 8;
const SOME_ID = 2n ** 40n;
const DAY_MS = 86_400_000;

/** Enough of everything that nothing is refused, and nothing kept when it is over. */
const SEGMENT = { skus: 256, holds: 8192, keys: 8192, holders: 256, soldRetentionMs: 0, keyRetentionMs: 1 };

/** `[op, …args]` of one command, by the number of it. */
type Make = (command: number) => unknown[];

function framesOf(perFrame: number, make: Make): Uint8Array[] {
  return Array.from({ length: FRAMES }, (_, frame) =>
    frameOf(
      ...Array.from({ length: perFrame }, (_, i) => {
        const command = frame * perFrame + i;
        const [op, ...args] = make(command);
        return [op, 0x10000 + command, ...args];
      }),
    ),
  );
}

const sku = (command: number) => `sku-${command % SKUS}`;

/** A path with SKUs of all the kinds that commands here name. */
function start(): InProcess {
  const path = new InProcess({ segment: SEGMENT });
  for (let i = 0; i < SKUS; i++) path.stock(sku(i), 1_000_000);
  path.stock('sold out', 0);
  path.stock('held out', 1);
  path.stock('few per hold', 1000, 2);
  path.stock('few per holder', 1000, 0, 1);
  path.stock('counted', 1_000_000, 0, 1_000_000);
  path.stock('short', 1000, 0, 0, 1000);
  for (const name of ['held out', 'few per holder']) path.turn(frameOf([Op.HOLD, 0x10000, name, 1, DAY_MS]));
  path.turn(frameOf([Op.HOLD, 0x10000, 'sku-0', 1, DAY_MS, 'used']));
  return path;
}

function seen(path: InProcess): string[] {
  return [...path.byStatus.keys()].filter((status) => path.byStatus[status] > 0).map(statusName);
}

/** Bytes for each command when frames of `make`'s commands follow each other at 2 ms. */
function bytesOf(path: InProcess, perFrame: number, make: Make, enough = perFrame): number {
  const frames = framesOf(perFrame, make);
  const run = (call: number) => {
    path.pass(2);
    path.turn(frames[call & (FRAMES - 1)]);
  };
  // As many commands whatever the frames' length.
  const turns = Math.ceil((TURNS * PER_FRAME) / perFrame);
  const warmUpCalls = Math.ceil((WARM_UP_TURNS * PER_FRAME) / perFrame);
  path.byStatus.fill(0);
  return bytesPerCall(run, turns, enough, warmUpCalls) / perFrame;
}

describe('bytes allocated from frame to reply frame, 400 commands a frame', () => {
  it.each<[string, keyof typeof Status, Make]>([
    ['HOLD that expires as fast as it comes', 'OK', (i) => [Op.HOLD, sku(i), 1, 20]],
    ['HOLD under a key of its own', 'OK', (i) => [Op.HOLD, sku(i), 1, 5, `key-${i}`]],
    ['HOLD under a key that was used', 'OK', () => [Op.HOLD, 'sku-0', 1, DAY_MS, 'used']],
    ['HOLD that counts for its holder', 'OK', () => [Op.HOLD, 'counted', 1, 20]],
    ['READ', 'OK', (i) => [Op.READ, sku(i)]],
    ['READ of a SKU with open holds', 'OK', () => [Op.READ, 'held out']],
    ['STOCK', 'OK', (i) => [Op.STOCK, sku(i), 1, 1_000_000]],
    ['TIME', 'OK', () => [Op.TIME]],
    ['HOLD of what is sold out', 'SOLD_OUT', () => [Op.HOLD, 'sold out', 1, 20]],
    ['HOLD of what is held', 'HELD_OUT', () => [Op.HOLD, 'held out', 1, 20]],
    ['HOLD of too much', 'HOLD_LIMIT', () => [Op.HOLD, 'few per hold', 3, 20]],
    ['HOLD for too long', 'TTL_LIMIT', () => [Op.HOLD, 'short', 3, 1001]],
    ['HOLD by who has enough', 'HOLDER_LIMIT', () => [Op.HOLD, 'few per holder', 1, 20]],
    ['HOLD under a key for another', 'KEY_CONFLICT', () => [Op.HOLD, 'sku-0', 2, DAY_MS, 'used']],
    ['HOLD of nothing known', 'UNKNOWN_SKU', () => [Op.HOLD, 'no such', 1, 20]],
    ['CONFIRM of nothing known', 'UNKNOWN_HOLD', () => [Op.CONFIRM, SOME_ID]],
    ['HOLD of no units', 'MALFORMED', (i) => [Op.HOLD, sku(i), 0, 20]],
    ['an unknown op', 'MALFORMED', (i) => [77, sku(i)]],
  ])('are none for %s', (_name, status, make) => {
    const path = start();
    expect(bytesOf(path, PER_FRAME, make)).toBeLessThan(1);
    expect(seen(path)).toEqual([status]);
  });

  it.each<[string, Partial<InProcess['router']>, number, keyof typeof Status]>([
    ['the client has too much under way', {}, MAX_IN_FLIGHT, 'BUSY'],
    ['the server stops', { draining: true }, 0, 'UNAVAILABLE'],
  ])('are none when %s', (_name, state, inFlight, status) => {
    const path = start();
    Object.assign(path.router, state);
    path.connection.inFlight = inFlight;
    expect(bytesOf(path, PER_FRAME, (i) => [Op.HOLD, sku(i), 1, 20])).toBeLessThan(1);
    expect(seen(path)).toEqual([status]);
  });

  it.each<[string, (keyof typeof Status)[], number, unknown[][]]>([
    [
      'bought and brought back',
      ['OK'],
      0,
      [
        [Op.EXTEND, SOME_ID, 90_000],
        [Op.READ_HOLD, SOME_ID],
        [Op.CONFIRM, SOME_ID],
        [Op.RETURN, SOME_ID],
      ],
    ],
    [
      'released in part, then whole',
      ['OK'],
      0,
      [
        [Op.RELEASE, SOME_ID, 1, 2],
        [Op.RELEASE, SOME_ID],
      ],
    ],
    [
      'released, then asked for',
      ['OK', 'RELEASED'],
      0,
      [
        [Op.RELEASE, SOME_ID],
        [Op.CONFIRM, SOME_ID],
        [Op.EXTEND, SOME_ID, 90_000],
      ],
    ],
    [
      'expired, then asked for',
      ['OK', 'EXPIRED'],
      1000,
      [
        [Op.CONFIRM, SOME_ID],
        [Op.READ_HOLD, SOME_ID],
      ],
    ],
  ])('are none for holds that are %s', (_name, statuses, waitMs, commands) => {
    const path = start();
    const holds = framesOf(PER_FRAME, (i) => [Op.HOLD, sku(i), 2, 1000])[0];
    const frames = commands.map((command) => framesOf(PER_FRAME, () => command)[0]);
    const ids = new Uint8Array(PER_FRAME * REPLY_BYTES);
    const run = () => {
      path.pass(2);
      path.turn(holds);
      for (let i = 0; i < ids.length; i++) ids[i] = path.lastFrame[i];
      path.pass(waitMs);
      for (let i = 0; i < frames.length; i++) {
        putIds(ids, frames[i]);
        path.turn(frames[i]);
      }
    };
    path.byStatus.fill(0);
    const perTurn = PER_FRAME * (1 + frames.length);
    const bytes = bytesPerCall(run, TURNS, perTurn, WARM_UP_TURNS) / perTurn;
    expect(seen(path)).toEqual(statuses);
    expect(bytes).toBeLessThan(1);
  });
});

describe('bytes allocated from frame to reply frame, one command a frame', () => {
  // The time is a boxed number of 16 bytes, for a turn's commands, its expiry and, where the compiler leaves it boxed, the gate; now and then one more.
  it.each<[string, Make, number]>([
    ['HOLD', (i) => [Op.HOLD, sku(i), 1, 20], 49],
    ['READ', (i) => [Op.READ, sku(i)], 49],
    ['HOLD of what is held', () => [Op.HOLD, 'held out', 1, 20], 49],
    // The front's own answer leaves in a view made for it; and the stage clock, which waits for a command that it can time, is a boxed number.
    ['TIME', () => [Op.TIME], 185],
  ])('are those of a turn for %s', (_name, make, most) => {
    expect(bytesOf(start(), 1, make, most)).toBeLessThanOrEqual(most);
  });
});

/** Puts the ids that were replied to 400 HOLDs into a frame of 400 commands on holds. */
function putIds(replies: Uint8Array, frame: Uint8Array): void {
  const commandBytes = frame.length / PER_FRAME;
  for (let i = 0; i < PER_FRAME; i++) {
    for (let byte = 0; byte < 8; byte++) {
      frame[i * commandBytes + ID_IN_COMMAND + byte] = replies[i * REPLY_BYTES + ID_IN_REPLY + byte];
    }
  }
}
