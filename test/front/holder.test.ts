import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { HolderHash } from '../../src/front/holder.ts';

const SECRET = Buffer.from('a secret of some length, 32 bytes');

function words(hash: HolderHash, subject: string): [number, number] {
  hash.run(subject);
  return [hash.lo, hash.hi];
}

it('a holder has the same words under the same secret, in every process', () => {
  const subjects = ['ann', 'bob', '', 'ann ', 'Änne'];
  const [one, two] = [new HolderHash(SECRET), new HolderHash(SECRET)];
  for (const subject of subjects) expect(words(one, subject)).toEqual(words(two, subject));
  expect(new Set(subjects.map((subject) => words(one, subject).join())).size).toBe(subjects.length);
  // Fixed for good: what is stored under these words must be found again.
  expect(words(one, 'ann')).toEqual([-294434983, -1010998803]);
});

it('a holder has other words under another secret, so that nobody can know them', () => {
  const hashes = [
    new HolderHash(SECRET),
    new HolderHash(SECRET.subarray(1)),
    new HolderHash(randomBytes(32)),
  ];
  expect(new Set(hashes.map((hash) => words(hash, 'ann').join())).size).toBe(hashes.length);
});

it('the words are whole numbers of 32 bits that use both signs', () => {
  const hash = new HolderHash(SECRET);
  const all = Array.from({ length: 64 }, (_, i) => words(hash, `holder-${i}`)).flat();
  expect(all.every((word) => word === (word | 0))).toBe(true);
  expect(all.some((word) => word < 0) && all.some((word) => word > 0)).toBe(true);
});

it('no holder has the words that stand for any holder', () => {
  const hash = new HolderHash(SECRET);
  hash.setWords(0, 0);
  expect([hash.lo, hash.hi]).toEqual([1, 0]);
  hash.setWords(0, 7);
  expect([hash.lo, hash.hi]).toEqual([0, 7]);
});
