import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judge, type VectorFile, wrongOnes } from './vectors.ts';

const folder = join(import.meta.dirname, '../vectors');
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
const read = (name: string): VectorFile => JSON.parse(readFileSync(join(folder, name), 'utf8'));

// A file that is put into the folder runs with the next `npm test`.
describe.each(names)('the vectors of %s', async (name) => {
  const verdicts = await judge(read(name));

  it.each(verdicts.map((verdict) => [verdict.title, verdict] as const))('%s', (_title, verdict) => {
    expect(wrongOnes([verdict])).toEqual([]);
  });
});

describe('the loader', () => {
  it('finds the files that are checked in', () => {
    expect(names).toEqual(expect.arrayContaining(['edge-cases.json', 'rfc-examples.json']));
  });

  it.each(['edge-cases.json', 'rfc-examples.json'])('notices every wrong expectation in %s', async (name) => {
    const { testGroups, ...rest } = read(name);
    const turned = testGroups.map((group) => ({
      ...group,
      tests: group.tests.map((test) => ({
        ...test,
        result: test.result === 'valid' ? ('invalid' as const) : ('valid' as const),
      })),
    }));
    const verdicts = await judge({ ...rest, testGroups: turned });
    const wrong = wrongOnes(verdicts);
    // What must be refused whatever a file says of it is named so, and is no other with the other expectation.
    const titles = (await judge(read(name))).map(({ title }) => title);
    const unmoved = verdicts.filter((verdict) => !wrong.includes(verdict));
    const named = unmoved.filter(
      ({ title }) =>
        title.includes('(refused: ') || titles.some((one) => one.startsWith(`${title} (refused: `)),
    );
    expect(unmoved).toEqual(named);
    expect(wrong.length).toBeGreaterThan(verdicts.length / 3);
  });

  it.each<[string, object, string]>([
    ['says another number of tests', { numberOfTests: 7 }, 'the file says that it has 7 tests, and has'],
    ['has no test', { numberOfTests: 0, testGroups: [] }, 'the file says that it has 0 tests'],
    [
      'has groups of another type',
      { testGroups: [{ type: 'EcdsaVerify', tests: [] }] },
      'of type EcdsaVerify has no JWK',
    ],
    [
      'has tests without a token',
      { testGroups: [{ type: 'JsonWebSignature', private: {}, tests: [{ tcId: 1, result: 'valid' }] }] },
      'test 1 has neither a jws nor a jwe',
    ],
    [
      'has results of another kind',
      {
        testGroups: [
          { type: 'JsonWebSignature', private: {}, tests: [{ tcId: 1, jws: 'x', result: 'maybe' }] },
        ],
      },
      'test 1 has the result maybe',
    ],
  ])('refuses a file that %s', async (_what, change, problem) => {
    const file = { ...read('rfc-examples.json'), ...change } as VectorFile;
    await expect(judge(file)).rejects.toThrow(problem);
  });
});
