import { describe, expect, it } from 'vitest';
import { Fault, plantFault, strike } from '../../src/shard/faults.ts';
import { Control } from '../../src/shard/memory.ts';

const IDLE = -1;

describe('a fault', () => {
  it.each<[string, number, number, number, boolean]>([
    ['none, in a command', Fault.NONE, 0, 0, false],
    ['none, in between', Fault.NONE, 0, IDLE, false],
    ['in a command, of its segment', Fault.THROW, 3, 3, true],
    ['in a command, of another segment', Fault.THROW, 3, 2, false],
    ['in a command, in between', Fault.THROW, 3, IDLE, false],
    ['in between, in between', Fault.THROW_IDLE, IDLE, IDLE, true],
    ['in between, in a command', Fault.THROW_IDLE, 3, 3, false],
  ])('strikes where it was planted, once: %s', (_name, fault, segment, where, strikes) => {
    const control = new Int32Array(Control.WORDS);
    plantFault(control, fault, segment);
    if (strikes) expect(() => strike(control, where)).toThrow(/planted fault/);
    else strike(control, where);
    expect(control[Control.FAULT]).toBe(strikes ? Fault.NONE : fault);
    if (strikes) strike(control, where);
  });
});
