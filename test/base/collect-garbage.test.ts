import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../../src/base/collect-garbage.ts';

const MB = 2 ** 20;

describe('a collection that is asked for', () => {
  it('takes what nobody needs any more', () => {
    let kept: unknown[] | undefined = Array.from({ length: 200_000 }, (_, i) => ({ i }));
    collectGarbage(false);
    const before = getHeapStatistics().used_heap_size;
    expect(kept.length).toBe(200_000);
    kept = undefined;
    collectGarbage(false);
    expect(before - getHeapStatistics().used_heap_size).toBeGreaterThan(2 * MB);
  });

  it('gives back the room that young objects took while many lived', () => {
    let kept: object[] = [];
    // Those who live through a collection make V8 give young objects more room.
    for (let i = 0; youngBytes() < 8 * MB && i < 5_000_000; i++) {
      kept.push({ i, more: [i, i] });
      if (kept.length > 60_000) kept = kept.slice(30_000);
    }
    expect(youngBytes()).toBeGreaterThanOrEqual(8 * MB);
    kept = [];
    collectGarbage(true);
    expect(youngBytes()).toBeLessThan(4 * MB);
  });

  it('leaves no `gc` behind that code could call', () => {
    collectGarbage(false);
    expect('gc' in globalThis).toBe(process.execArgv.includes('--expose-gc'));
  });
});

function youngBytes(): number {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return young?.space_size ?? 0;
}
