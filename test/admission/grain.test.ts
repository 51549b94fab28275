import { describe, expect, it } from 'vitest';
import { FINEST_MS, GRAIN_LENGTHS, grainOf, nextGrain } from '../../src/admission/grain.ts';

/** Lengths of a bucket in ms behind each reading, from a key's first. */
function grains(readings: readonly number[]): number[] {
  let state = 0;
  return readings.map((variation) => {
    state = nextGrain(state, variation);
    return (GRAIN_LENGTHS[grainOf(state)] as number) * FINEST_MS;
  });
}

describe('the grain of a window', () => {
  it('is fine before there is a reading', () => {
    expect((GRAIN_LENGTHS[grainOf(0)] as number) * FINEST_MS).toBe(100);
  });

  it.each<[string, number[], number[]]>([
    ['stays fine above 0.8', [0.81, 3, 0.9], [100, 100, 100]],
    ['is medium from 0.3 to 0.8', [0.8, 0.3, 0.5, 0.79], [500, 500, 500, 500]],
    ['is fine again above 0.8', [0.5, 0.8, 0.81, 0.8], [500, 500, 100, 500]],
    ['becomes coarse below 0.3 with the third calm reading in a row', [0.1, 0.1, 0.1], [500, 500, 1000]],
    ['counts readings below 0.5 as calm', [0.49, 0.49, 0.29], [500, 500, 1000]],
    ['does not count one of 0.5', [0.49, 0.5, 0.29, 0.1, 0.1], [500, 500, 500, 500, 1000]],
    ['is not coarse from 0.3, however calm', [0.3, 0.3, 0.3, 0.3, 0.29], [500, 500, 500, 500, 1000]],
    ['stays coarse up to 0.6', [0, 0, 0, 0.3, 0.5, 0.6, 0.6], [500, 500, 1000, 1000, 1000, 1000, 1000]],
    ['goes from coarse to fine above 0.6', [0, 0, 0, 0.61, 0.61], [500, 500, 1000, 100, 500]],
    ['begins to count again then', [0, 0, 0, 0.7, 0, 0, 0], [500, 500, 1000, 100, 500, 500, 1000]],
    ['counts calm readings while it is fine', [0.9, 0.1, 0.1, 0.1], [100, 500, 500, 1000]],
  ])('%s', (_, readings, lengths) => {
    expect(grains(readings)).toEqual(lengths);
  });
});
