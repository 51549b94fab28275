import { encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { Unpackr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { FIRST_REQUEST_ID, skuName } from '../../../perf/load/frames.ts';
import { Flights } from '../../../perf/stress/flights.ts';
import { FrameWriter } from '../../../perf/stress/frame-writer.ts';
import { Latencies, newHistogram } from '../../../perf/stress/latencies.ts';
import { drawSkus } from '../../../perf/stress/popularity.ts';
import { Op } from '../../../protocol/ops.ts';

const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });

/** The commands of each masked frame in the bytes. */
function framesIn(bytes: Buffer): unknown[][] {
  const found: unknown[][] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = bytes[at + 1] & 0x7f;
    const length = short < 126 ? short : bytes.readUInt16BE(at + 2);
    const start = at + (short < 126 ? 6 : 8);
    expect([bytes[at], bytes[at + 1] & 0x80, bytes.readUInt32BE(start - 4)]).toEqual([0x82, 0x80, 0]);
    found.push(unpackr.unpackMultiple(bytes.subarray(start, start + length)));
    at = start + length;
  }
  return found;
}

describe('the writer of frames', () => {
  it.each([1, 2, 3, 4, 400, 1400])('writes frames of %i holds', (commands) => {
    const writer = new FrameWriter('sku-', 1 << 18);
    const holds = Array.from({ length: commands }, (_, i) => [0xfffffff0 - i, i * 7, 0x01020304 + i]);
    for (let frame = 0; frame < 2; frame++) {
      writer.begin();
      for (const [id, sku, ttl] of holds) writer.hold(id, sku, ttl);
      writer.finish();
    }
    const expected = holds.map(([id, sku, ttl]) => [Op.HOLD, id, skuName(sku), 1, ttl]);
    expect(framesIn(writer.u8.subarray(0, writer.pos))).toEqual([expected, expected]);
  });

  it('writes what ends a hold, whose id is larger than 2^32', () => {
    const writer = new FrameWriter('', 1000);
    writer.begin();
    writer.end(Op.CONFIRM, 70_000, 0x1f_ffff, 0xfedc_ba98);
    writer.end(Op.RELEASE, 70_001, 0, 5);
    writer.finish();
    expect(framesIn(writer.u8.subarray(0, writer.pos))).toEqual([
      [
        [Op.CONFIRM, 70_000, 0x1f_ffff * 2 ** 32 + 0xfedc_ba98],
        [Op.RELEASE, 70_001, 5],
      ],
    ]);
  });

  it('knows when it is full', () => {
    const writer = new FrameWriter('sku-', 1000);
    expect([writer.hasRoom(15), writer.hasRoom(16)]).toEqual([true, false]);
  });
});

describe('latencies', () => {
  it('are a histogram of µs, of what came since it was taken last', () => {
    const [latencies, expected] = [new Latencies(), newHistogram()];
    const timesMs = [0, 0.001, 0.5, 0.5, 65.535, 65.536, 70, 5000];
    for (const round of [1, 2]) {
      for (const ms of timesMs) {
        latencies.record(ms * round);
        expected.recordValue(ms * round * 1000);
      }
      expect(latencies.take()).toBe(encodeIntoCompressedBase64(expected));
      expected.reset();
    }
    expect(latencies.take()).toBe(encodeIntoCompressedBase64(newHistogram()));
  });

  it('are 0 to an hour', () => {
    const [latencies, expected] = [new Latencies(), newHistogram()];
    for (const ms of [-3, 4_000_000]) latencies.record(ms);
    for (const us of [0, 3_600_000_000]) expected.recordValue(us);
    expect(latencies.take()).toBe(encodeIntoCompressedBase64(expected));
  });
});

describe('commands under way', () => {
  it('are found by the id in their reply, round after round', () => {
    const flights = new Flights(8);
    for (let i = 0; i < 100; i++) {
      const id = flights.add(Op.HOLD, i, 3, i / 2, 0);
      expect(id).toBe(FIRST_REQUEST_ID + i);
      const at = flights.placeOf(id);
      expect([flights.sku[at], flights.dueMs[at], flights.lane[at]]).toEqual([i, i / 2, 3]);
      flights.remove(at);
    }
    expect(flights.count).toBe(0);
  });

  it('do not take the place of one that has no answer', () => {
    const flights = new Flights(4);
    flights.add(Op.HOLD, 0, 0, 0, 0);
    for (let i = 0; i < 3; i++) flights.remove(flights.placeOf(flights.add(Op.HOLD, 0, 0, 0, 0)));
    expect([flights.count, flights.hasRoom(1)]).toEqual([1, false]);
  });

  it('are not answered twice, or without having been asked', () => {
    const flights = new Flights(4);
    const id = flights.add(Op.HOLD, 0, 0, 0, 0);
    flights.remove(flights.placeOf(id));
    expect(() => flights.placeOf(id)).toThrow(/was not asked/);
    expect(() => flights.placeOf(5)).toThrow(/was not asked/);
  });

  it('are given up with their connection, or all', () => {
    const flights = new Flights(8);
    for (const lane of [1, 2, 1, 2, 2]) flights.add(Op.HOLD, lane, lane, 0, 0);
    const given: number[] = [];
    flights.giveUp(1, (at) => given.push(flights.sku[at]));
    expect([given, flights.count]).toEqual([[1, 1], 3]);
    flights.giveUp(-1, (at) => given.push(flights.sku[at]));
    expect([given, flights.count]).toEqual([[1, 1, 2, 2, 2], 0]);
  });
});

describe('the SKUs that are asked for', () => {
  it('follow Zipf: the n-th as often as 1 / n^0.99', () => {
    const [skus, count] = [1000, 1 << 18];
    const asked = new Float64Array(skus);
    for (const sku of drawSkus(skus, 'zipf', count, 5)) asked[sku]++;
    const weights = Array.from({ length: skus }, (_, n) => (n + 1) ** -0.99);
    const all = weights.reduce((sum, weight) => sum + weight, 0);
    for (const n of [1, 2, 10, 100]) {
      const expected = (count * (weights[n - 1] as number)) / all;
      // Five standard deviations.
      expect(Math.abs(asked[n - 1] - expected), `rank ${n}`).toBeLessThan(5 * Math.sqrt(expected));
    }
    expect(asked.reduce((sum, value) => sum + value, 0)).toBe(count);
  });

  it('are all alike when uniform, the same for the same seed, and others for another', () => {
    const drawn = drawSkus(10, 'uniform', 10_000, 7);
    const asked = new Float64Array(10);
    for (const sku of drawn) asked[sku]++;
    for (const times of asked) expect(Math.abs(times - 1000)).toBeLessThan(5 * Math.sqrt(1000));
    expect(drawSkus(10, 'uniform', 10_000, 7)).toEqual(drawn);
    expect(drawSkus(10, 'uniform', 10_000, 8)).not.toEqual(drawn);
  });
});
