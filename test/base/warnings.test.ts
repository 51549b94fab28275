import { describe, expect, it, vi } from 'vitest';
import { withoutWarning } from '../../src/base/warnings.ts';

describe('a warning that is not wanted', () => {
  it('is left out, others are not, and afterwards all come again', () => {
    const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const before = process.emitWarning;
    const result = withoutWarning('SQLite is', () => {
      process.emitWarning('SQLite is experimental', 'ExperimentalWarning');
      process.emitWarning('Something else', 'OtherWarning');
      return 7;
    });
    expect(result).toBe(7);
    expect(emit.mock.calls).toEqual([['Something else', 'OtherWarning']]);
    expect(() => withoutWarning('', () => JSON.parse('{'))).toThrow(SyntaxError);
    expect(process.emitWarning).toBe(before);
    emit.mockRestore();
  });
});
