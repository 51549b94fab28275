import { describe, expect, test } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/runtime/units.ts';

describe('a duration', () => {
  test.each([
    ['0', 0],
    ['30000', 30_000],
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['1.005s', 1005],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    [' 2 H ', 7_200_000],
  ])('%j is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['', 's', '-1s', '1w', '1s30', '1e3', '0.5ms', '0x10', '1 000', '1constructor', '9999999999d'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  test.each([
    [0, '0'],
    [1, '1ms'],
    [1500, '1500ms'],
    [60_000, '1m'],
    [600_000, '10m'],
    [90_000, '90s'],
    [604_800_000, '7d'],
  ])('of %d ms is spelled %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
    expect(parseDuration(text)).toBe(ms);
  });
});

describe('a size', () => {
  test.each([
    ['4096', 4096],
    ['1b', 1],
    ['64KiB', 65_536],
    ['4mib', 4_194_304],
    ['0.5 GiB', 536_870_912],
  ])('%j is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(['', '4M', '4MB', '-4MiB', '1.5b'])('%j is none', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });

  test.each([
    [0, '0'],
    [1000, '1000B'],
    [65_536, '64KiB'],
    [8_388_608, '8MiB'],
    [1_073_741_824, '1GiB'],
  ])('of %d bytes is spelled %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
    expect(parseSize(text)).toBe(bytes);
  });
});
