import { expect, test } from 'vitest';
import { assert, unreachable } from '../../src/base/assert.ts';

test('what holds passes; what does not throws and says what', () => {
  expect(() => assert(true, 'one is one')).not.toThrow();
  expect(() => assert(false, 'one is two')).toThrow('assertion failed: one is two');
  expect(() => unreachable('the end of the world')).toThrow('unreachable: the end of the world');
});
