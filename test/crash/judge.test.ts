import { describe, expect, it } from 'vitest';
import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import {
  books,
  confirm,
  END,
  HOLD,
  hold,
  type Line,
  RETENTION_MS,
  read,
  release,
  restart,
  returned,
  Story,
  say,
  second,
  T0,
  TTL_MS,
  wait,
} from './story.ts';
import type { Invariant } from './tally.ts';

/** What must never happen, one row each, and which promise it breaks. */
const BROKEN: readonly (readonly [string, Invariant, readonly Line[]])[] = [
  ['a READ that does not add up', 'I1', [say(Op.READ, ['a'], [Status.OK, 5, 2, 2, 10, 0, 0, 0, 0])]],
  ['fewer than none available', 'I1', [say(Op.READ, ['a'], [Status.OK, -1, 6, 5, 10, 0, 0, 0, 0])]],
  ['violations in a segment', 'I1', [say(Op.INSPECT, [3], [Status.OK, 1, 0, 10, 0, 0, 10, 0, 1], 'segment')]],
  ['more sold than anybody confirmed', 'I1', [hold(), confirm([Status.OK, 2]), restart, books(7, 0, 3)]],
  ['more sold than acknowledged and unknown ones', 'I1', [hold(), confirm(null), restart, books(7, 0, 3)]],
  [
    'a holder with more units than the limit per holder',
    'I1',
    [
      (story) => story.say(Op.HOLD, ['limited', 2, TTL_MS], [Status.OK, HOLD, story.server + TTL_MS]),
      (story) => story.say(Op.HOLD, ['limited', 2, TTL_MS], [Status.OK, HOLD + 1, story.server + TTL_MS]),
      say(Op.READ, ['limited'], [Status.OK, 6, 4, 0, 10, 0, 3, 0, T0 + END], 'books'),
    ],
  ],
  [
    'an acknowledged hold that is not there',
    'I2',
    [hold(), restart, say(Op.READ_HOLD, [HOLD], [Status.UNKNOWN_HOLD])],
  ],
  ['a hold with fewer units', 'I2', [hold(), restart, read(HoldState.HELD, 1, 0, 0, END)]],
  ['an earlier deadline', 'I2', [hold(), restart, read(HoldState.HELD, 2, 0, 0, END - 1)]],
  ['an expiry before its deadline', 'I2', [hold(), restart, confirm([Status.EXPIRED, T0 + END])]],
  [
    'an acknowledged confirm that is undone',
    'I2',
    [hold(), confirm([Status.OK, 2]), restart, read(HoldState.HELD, 2, 0, 0, END)],
  ],
  [
    'a part confirmed, and all sold',
    'I2',
    [hold(), confirm([Status.OK, 1], 1), restart, read(HoldState.CONFIRMED, 0, 2, 0, second(1))],
  ],
  [
    'an acknowledged release of a part that is undone',
    'I2',
    [hold(), release([Status.OK, 1], 1, 2), restart, read(HoldState.HELD, 2, 0, 0, END)],
  ],
  [
    'an acknowledged extend that is undone',
    'I2',
    [
      hold(),
      say(Op.EXTEND, [HOLD, TTL_MS], [Status.OK, T0 + second(1) + TTL_MS]),
      restart,
      read(HoldState.HELD, 2, 0, 0, END),
    ],
  ],
  [
    'an acknowledged return that is undone',
    'I2',
    [
      hold(),
      confirm([Status.OK, 2]),
      returned([Status.OK, 1], 1, 2),
      restart,
      read(HoldState.CONFIRMED, 0, 2, 0, second(1)),
    ],
  ],
  ['fewer sold than clients were told', 'I2', [hold(), confirm([Status.OK, 2]), restart, books(9, 0, 1)]],
  ['fewer held than clients were told', 'I2', [hold(), restart, books(9, 1, 0)]],
  [
    'another total than was acknowledged',
    'I2',
    [say(Op.STOCK, ['a', StockMode.DELTA, 5], [Status.OK, 15, 0, 0, 15]), restart, books(10, 0, 0)],
  ],
  ['an id that is given out twice', 'I2', [hold(), hold()]],
  [
    'half of an unknown confirm',
    'I2',
    [hold(), confirm(null), restart, read(HoldState.CONFIRMED, 0, 1, 0, second(1))],
  ],
  [
    'an unknown confirm that had not happened, and then has',
    'I5',
    [
      hold(),
      confirm(null),
      restart,
      read(HoldState.HELD, 2, 0, 0, END),
      restart,
      read(HoldState.CONFIRMED, 0, 2, 0, second(1)),
    ],
  ],
  [
    'an unknown confirm that had happened, and then has not',
    'I2',
    [
      hold(),
      confirm(null),
      restart,
      read(HoldState.CONFIRMED, 0, 2, 0, second(1)),
      restart,
      read(HoldState.HELD, 2, 0, 0, END),
    ],
  ],
  [
    'units still held when every deadline has passed',
    'I3',
    [say(Op.READ, ['a'], [Status.OK, 8, 2, 0, 10, 0, 0, 0, 0], 'returned')],
  ],
  [
    'another hold for the same key and body',
    'I4',
    [hold(2, 'k'), restart, say(Op.HOLD, ['a', 2, TTL_MS, 'k'], [Status.OK, HOLD + 1, T0 + END])],
  ],
  [
    'another deadline for the same key and body',
    'I4',
    [hold(2, 'k'), restart, say(Op.HOLD, ['a', 2, TTL_MS, 'k'], [Status.OK, HOLD, T0 + END + 1])],
  ],
  [
    'a refusal for a key that stands for a hold',
    'I4',
    [hold(2, 'k'), restart, say(Op.HOLD, ['a', 2, TTL_MS, 'k'], [Status.SOLD_OUT, 0])],
  ],
  [
    'a key that takes another body',
    'I4',
    [hold(2, 'k'), restart, say(Op.HOLD, ['a', 1, TTL_MS, 'k'], [Status.OK, HOLD, T0 + END])],
  ],
  [
    'a conflict with a body that nobody sent',
    'I4',
    [say(Op.HOLD, ['a', 1, TTL_MS, 'k'], [Status.KEY_CONFLICT, HOLD])],
  ],
  [
    'a hold that is open again',
    'I5',
    [hold(), release([Status.OK, 0]), say(Op.EXTEND, [HOLD, TTL_MS], [Status.OK, T0 + second(2) + TTL_MS])],
  ],
  [
    'a confirm that wins over a release',
    'I5',
    [hold(), release([Status.OK, 0]), restart, confirm([Status.OK, 2])],
  ],
  [
    'an expiry that wins over a confirm',
    'I5',
    [hold(), confirm([Status.OK, 2]), wait(END), restart, read(HoldState.EXPIRED, 0, 0, 0, END)],
  ],
  ['a release that nobody asked for', 'I5', [hold(), restart, confirm([Status.RELEASED, T0 + second(1)])]],
  ['a clock that goes back over a restart', 'clock', [(story) => story.restart(-50)]],
  ['a clock that jumps ahead over a restart', 'clock', [(story) => story.restart(50)]],
];

/** What may happen: `[happened, not happened]` of the commands without an answer. */
const LAWFUL: readonly (readonly [string, readonly [number, number], readonly Line[]])[] = [
  [
    'a hold that expires while the server is down',
    [0, 0],
    [hold(), wait(END), restart, read(HoldState.EXPIRED, 0, 0, 0, END), books(10, 0, 0)],
  ],
  [
    'an unknown confirm that had happened',
    [1, 0],
    [hold(), confirm(null), restart, read(HoldState.CONFIRMED, 0, 2, 0, second(1)), books(8, 0, 2)],
  ],
  [
    'an unknown confirm that had not',
    [0, 1],
    [
      hold(),
      confirm(null),
      restart,
      read(HoldState.HELD, 2, 0, 0, END),
      confirm([Status.OK, 2]),
      books(8, 0, 2),
    ],
  ],
  [
    'of two unknown commands the first',
    [1, 1],
    [
      hold(3),
      release(null, 1, 3),
      confirm(null),
      restart,
      read(HoldState.HELD, 2, 0, 0, END),
      books(8, 2, 0),
    ],
  ],
  [
    'an unknown confirm that came too late',
    [0, 1],
    [hold(), wait(END), confirm(null), restart, read(HoldState.EXPIRED, 0, 0, 0, END)],
  ],
  [
    'an unknown extend that had happened, told by a later deadline',
    [1, 0],
    [hold(), say(Op.EXTEND, [HOLD, TTL_MS], null), restart, read(HoldState.HELD, 2, 0, 0, END + second(1))],
  ],
  [
    'an unknown return',
    [1, 0],
    [
      hold(),
      confirm([Status.OK, 2]),
      returned(null, 1, 2),
      restart,
      read(HoldState.CONFIRMED, 0, 1, 1, second(1)),
      books(9, 0, 1),
    ],
  ],
  [
    'an unknown STOCK that had not happened',
    [0, 1],
    [say(Op.STOCK, ['a', StockMode.DELTA, 5], null), restart, books(10, 0, 0)],
  ],
  [
    'an unknown STOCK that had happened',
    [1, 0],
    [say(Op.STOCK, ['a', StockMode.DELTA, 5], null), restart, books(15, 0, 0, 15)],
  ],
  [
    'an unknown HOLD that had happened, told by its deadline',
    [1, 0],
    [
      say(Op.HOLD, ['a', 2, TTL_MS, 'k'], null),
      restart,
      say(Op.HOLD, ['a', 2, TTL_MS, 'k'], [Status.OK, HOLD, T0 + END]),
    ],
  ],
  [
    'an unknown HOLD that had not',
    [0, 1],
    [say(Op.HOLD, ['a', 2, TTL_MS, 'k'], null), restart, hold(2, 'k'), books(8, 2, 0)],
  ],
  [
    'the same key again, and one with another body',
    [0, 0],
    [
      hold(2, 'k'),
      restart,
      say(Op.HOLD, ['a', 2, TTL_MS, 'k'], [Status.OK, HOLD, T0 + END]),
      say(Op.HOLD, ['a', 1, TTL_MS, 'k'], [Status.KEY_CONFLICT, HOLD]),
    ],
  ],
  [
    'a key that is forgotten after its time',
    [0, 0],
    [hold(2, 'k'), wait(END + RETENTION_MS), say(Op.HOLD, ['a', 2, TTL_MS, 'k'], [Status.SOLD_OUT, 0])],
  ],
  [
    'an ended hold that is forgotten',
    [0, 0],
    [hold(), release([Status.OK, 0]), say(Op.READ_HOLD, [HOLD], [Status.UNKNOWN_HOLD])],
  ],
  [
    'a server that takes nothing for now',
    [0, 0],
    [hold(), confirm([Status.UNAVAILABLE, 10]), read(HoldState.HELD, 2, 0, 0, END)],
  ],
  [
    'holds that are only counted after two audits',
    [0, 0],
    [
      hold(),
      confirm([Status.OK, 2]),
      (story) => story.audited(),
      (story) => story.audited(),
      (story) => expect(story.judge.holds.size).toBe(0),
      books(8, 0, 2),
    ],
  ],
];

describe('the judge of the crash run', () => {
  it.each(BROKEN)('finds %s (%s)', (_name, invariant, lines) => {
    const story = new Story();
    for (const line of lines) line(story);
    expect(story.violated[0]).toBe(invariant);
  });

  it.each(LAWFUL)('accepts %s', (_name, [happened, notHappened], lines) => {
    const story = new Story();
    for (const line of lines) line(story);
    expect(story.judge.tally.violations).toEqual([]);
    expect(story.judge.tally).toMatchObject({ happened, notHappened });
  });

  it('has a row for each promise', () => {
    expect(new Set(BROKEN.map(([, invariant]) => invariant))).toEqual(
      new Set(['I1', 'I2', 'I3', 'I4', 'I5', 'clock']),
    );
  });

  it('says which lines of the clients show it', () => {
    const story = new Story();
    for (const line of [hold(), confirm([Status.OK, 2]), restart, read(HoldState.HELD, 2, 0, 0, END)])
      line(story);
    const [violation] = story.judge.tally.violations;
    expect(violation?.what).toContain(String(HOLD));
    expect(violation?.log.join('\n')).toMatch(/HOLD a 2.*→ OK.*CONFIRM.*→ OK 2.*start 2: ann\/0 READ_HOLD/s);
  });
});
