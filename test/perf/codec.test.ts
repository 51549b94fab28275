import { describe, expect, it } from 'vitest';
import { benchCodec } from '../../perf/codec.ts';

describe('the codec benchmark', () => {
  it('reads the same from every message as msgpackr does, and gives rates for every step', () => {
    const result = benchCodec({ seconds: 0.002, repeats: 2, commands: 500 });
    expect(result.verified).toBe(true);
    expect(result.commandsPerSecond).toBeGreaterThan(0);
    expect(result.msgpackrCommandsPerSecond).toBeGreaterThan(0);
    expect(Object.keys(result.steps)).toEqual(['readCommand', 'writeReply', 'writeCommand', 'readReply']);
    for (const { holdfast, msgpackr } of Object.values(result.steps)) {
      expect(holdfast).toBeGreaterThan(0);
      expect(msgpackr).toBeGreaterThan(0);
    }
  });
});
