import { describe, expect, it } from 'vitest';
import { type Account, addAccounts, noteEnd, openAfter } from '../../../perf/stress/account.ts';
import { judge, type ServerBooks } from '../../../perf/stress/judge.ts';
import { account, ORIGIN_MS, serverBooks } from './fixtures.ts';

const RIGHT = { oversold: 0, leaked: 0, lost: 0 };

/** Three units of the first SKU were confirmed to clients, one confirm had no answer, and two holds run until 500 ms after the origin. */
function busy(made: Account): void {
  made.confirmed[0] = 3;
  made.unsureConfirms[0] = 1;
  made.unsureHolds = 1;
  noteEnd(made, ORIGIN_MS + 500, 2);
}

describe('the judge of a stress run', () => {
  it.each<[string, (account: Account) => void, Partial<ServerBooks>]>([
    ['nothing happened', () => {}, {}],
    ['what was told is in the books', busy, { sold: 3, heldAtStop: 2, soldBySku: Int32Array.of(3, 0) }],
    [
      'a confirm without an answer happened',
      busy,
      { sold: 4, heldAtStop: 2, soldBySku: Int32Array.of(4, 0) },
    ],
    ['only the sums were read', busy, { sold: 3, heldAtStop: 2, soldBySku: null }],
    ['more is held than clients know of', busy, { sold: 3, heldAtStop: 3, soldBySku: Int32Array.of(3, 0) }],
    [
      'the holds ended before the books were read',
      busy,
      { sold: 3, stopMs: ORIGIN_MS + 500, soldBySku: null },
    ],
    ['the server had violations before', () => {}, { violationsBefore: 2, violations: 2 }],
  ])('finds nothing wrong when %s', (_, change, books) => {
    expect(judge(account(change), serverBooks(books))).toEqual({ ...RIGHT, problems: [] });
  });

  it.each<[string, (account: Account) => void, Partial<ServerBooks>, Partial<typeof RIGHT>]>([
    [
      'more is promised than there is',
      busy,
      { stocked: 4, sold: 3, heldAtStop: 2, soldBySku: null },
      { oversold: 1 },
    ],
    [
      'one SKU is promised more often than there is of it, and the server says so too',
      busy,
      { unitsPerSku: 2, sold: 3, heldAtStop: 2, soldBySku: Int32Array.of(3, 0) },
      { oversold: 1 },
    ],
    ['the invariant is violated', () => {}, { violations: 3 }, { oversold: 3 }],
    [
      'units are sold that nobody was told of',
      busy,
      { sold: 6, heldAtStop: 2, soldBySku: null },
      { oversold: 2 },
    ],
    [
      'one SKU is sold too often and another not often enough',
      busy,
      { sold: 3, heldAtStop: 2, soldBySku: Int32Array.of(1, 2) },
      { oversold: 2, lost: 2 },
    ],
    ['units stay held for ever', () => {}, { heldAtEnd: 7 }, { leaked: 7 }],
    [
      'a confirmed unit is not sold',
      busy,
      { sold: 2, heldAtStop: 2, soldBySku: Int32Array.of(2, 0) },
      { lost: 1 },
    ],
    ['the same by the sums', busy, { sold: 1, heldAtStop: 2, soldBySku: null }, { lost: 2 }],
    ['an acknowledged hold is not held', busy, { sold: 3, heldAtStop: 1, soldBySku: null }, { lost: 1 }],
    [
      'a hold was gone when its client came back',
      (made) => {
        made.lost = 4;
      },
      {},
      { lost: 4 },
    ],
  ])('finds it when %s', (_, change, books, wrong) => {
    const { problems, ...verdict } = judge(account(change), serverBooks(books));
    expect(verdict).toEqual({ ...RIGHT, ...wrong });
    expect(problems).toHaveLength(Object.keys(wrong).length);
  });
});

describe('the account of several threads', () => {
  it('is the sum of theirs', () => {
    const sum = addAccounts([account(busy), account(), account(busy)]);
    expect(sum).toMatchObject({ unsureHolds: 2, lost: 0, originMs: ORIGIN_MS });
    expect([...sum.confirmed]).toEqual([6, 0]);
    expect([...sum.unsureConfirms]).toEqual([2, 0]);
    expect([499, 500, 501].map((ms) => openAfter(sum, ORIGIN_MS + ms - 1))).toEqual([4, 4, 0]);
  });

  it('forgets a hold that was ended before its deadline', () => {
    const made = account(busy);
    noteEnd(made, ORIGIN_MS + 500, -1);
    expect(openAfter(made, ORIGIN_MS)).toBe(1);
  });

  it('keeps deadlines that lie outside its span at the ends', () => {
    const made = account();
    noteEnd(made, ORIGIN_MS - 5000, 1);
    noteEnd(made, ORIGIN_MS + 5000, 1);
    expect(openAfter(made, ORIGIN_MS)).toBe(1);
  });
});
