import { describe, expect, it } from 'vitest';
import { bytesPerCall, mostCalls } from '../../perf/allocation.ts';

const CALLS = 50_000;
const kept: unknown[] = new Array(64).fill(null);
const words = new Int32Array(1024);

describe('bytes per call', () => {
  it.each([
    ['arithmetic', (call: number) => Math.imul(call, 31)],
    ['writing to a typed array', (call: number) => (words[call & 1023] += call)],
  ])('are none for %s', (_name, fn) => {
    expect(bytesPerCall(fn, CALLS, 0.5)).toBeLessThan(0.5);
  });

  // Map, properties, elements and two fields; a number and its map; a header and a store of 10 words with its own.
  it.each([
    ['an object of two fields', 40, (call: number) => keep(call, { a: call, b: call })],
    ['a boxed number', 16, (call: number) => keep(call, call + 0.5)],
    ['an array of ten', 128, (call: number) => keep(call, new Array(10).fill(call))],
  ])('are exact for %s', (_name, bytes, fn) => {
    expect(bytesPerCall(fn, CALLS, bytes + 0.5)).toBeCloseTo(bytes, 0);
  });

  it('stay exact across collections of the young generation', () => {
    // 2 million times 40 bytes is several times what the young generation holds.
    const fn = (call: number) => keep(call, { a: call, b: call });
    expect(bytesPerCall(fn, 2_000_000, 40.5)).toBeCloseTo(40, 0);
  });

  it.each([
    ['a view of a buffer', (call: number) => keep(call, words.subarray(0, 4))],
    ['a buffer outside the heap', (call: number) => keep(call, new Uint8Array(10_000))],
  ])('show %s', (_name, fn) => {
    expect(bytesPerCall(fn, CALLS, Number.POSITIVE_INFINITY)).toBeGreaterThan(64);
  });

  it('are those of code that has settled', () => {
    let calls = 0;
    // As code that is compiled late: whatever the first measurements take counts for nothing.
    const fn = (call: number) => {
      if (++calls < 200_000) keep(call, call + 0.5);
    };
    expect(bytesPerCall(fn, 20_000, 0.5)).toBeLessThan(0.5);
    expect(calls).toBeGreaterThan(200_000);
    expect(calls).toBeLessThanOrEqual(mostCalls(20_000));
  });

  it('average over calls that differ', () => {
    const fn = (call: number) => {
      if (call % 10 === 0) keep(call, { a: call, b: call });
    };
    expect(bytesPerCall(fn, CALLS, 4.5)).toBeCloseTo(4, 0);
  });
});

function keep(call: number, value: unknown): void {
  kept[call & 63] = value;
}
