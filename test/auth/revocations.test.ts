import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MAX_REVOCATIONS, type Revocation } from '../../src/auth/revocation-list.ts';
import { Revocations } from '../../src/auth/revocations.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { CLAIMS, makeToken, NOW_MS, NOW_S, outcome, SECRET, withKeys } from './fixtures.ts';

const path = tempDir();
let files = 0;
const newFile = () => path(`revocations-${++files}.json`);
const contentOf = (file: string) => JSON.parse(readFileSync(file, 'utf8')).revocations as Revocation[];
const write = (file: string, list: unknown) => writeFileSync(file, JSON.stringify({ revocations: list }));

async function openAt(file: string) {
  const notes: string[] = [];
  const time = { nowMs: NOW_MS, elapsedMs: 0 };
  const revocations = await Revocations.open(file, {
    nowMs: () => time.nowMs,
    elapsedMs: () => time.elapsedMs,
    onNote: ({ message }) => notes.push(message),
  });
  return { revocations, notes, time };
}

describe('a revocation', () => {
  const alice = { subject: 'alice', tokenId: 'one', issuedAtMs: NOW_MS };
  it.each<[string, Revocation[], object, boolean]>([
    ['of its token', [{ tokenId: 'one' }], {}, true],
    ['of another token', [{ tokenId: 'two' }], {}, false],
    ['of a token, where it has no jti', [{ tokenId: 'one' }], { tokenId: undefined }, false],
    ['of its subject', [{ subject: 'alice', issuedBefore: NOW_MS + 1 }], {}, true],
    ['of its subject, issued at that time', [{ subject: 'alice', issuedBefore: NOW_MS }], {}, false],
    ['of its subject, without iat', [{ subject: 'alice', issuedBefore: 1 }], { issuedAtMs: 0 }, true],
    ['of another subject', [{ subject: 'bob', issuedBefore: NOW_MS + 1 }], {}, false],
    ['of a token that has the name of the subject', [{ tokenId: 'alice' }], {}, false],
    ['whose time is over', [{ tokenId: 'one', until: NOW_MS }], {}, false],
    ['whose time is not over', [{ tokenId: 'one', until: NOW_MS + 1 }], {}, true],
    ['twice, once for good', [{ tokenId: 'one', until: NOW_MS - 1 }, { tokenId: 'one' }], {}, true],
  ])('%s', async (_what, list, identity, expected) => {
    const file = newFile();
    write(file, list);
    const { revocations } = await openAt(file);
    expect(revocations.isRevoked({ ...alice, ...identity })).toBe(expected);
  });
});

describe('the file of revocations', () => {
  it('is made by the first, and has what was added', async () => {
    const file = newFile();
    const { revocations } = await openAt(file);
    expect(revocations.revision).toBe(1);
    await revocations.add({ tokenId: 'one' });
    await revocations.add({ subject: 'bob', issuedBefore: NOW_MS, until: NOW_MS + 5 });
    expect(contentOf(file)).toEqual([
      { tokenId: 'one' },
      { subject: 'bob', issuedBefore: NOW_MS, until: NOW_MS + 5 },
    ]);
    expect(revocations.count).toBe(2);
    expect(revocations.revision).toBeGreaterThan(1);
    expect(existsSync(`${file}.lock`)).toBe(false);
    expect(existsSync(`${file}.next`)).toBe(false);
  });

  it('keeps what several write at once', async () => {
    const file = newFile();
    const writers = await Promise.all(Array.from({ length: 4 }, () => openAt(file)));
    await Promise.all(
      writers.flatMap(({ revocations }, writer) =>
        Array.from({ length: 5 }, (_, i) => revocations.add({ tokenId: `${writer}-${i}` })),
      ),
    );
    expect(contentOf(file)).toHaveLength(20);
    const [{ revocations, time }] = writers as [Awaited<ReturnType<typeof openAt>>];
    time.elapsedMs = 1000;
    await revocations.refresh();
    expect(revocations.count).toBe(20);
  });

  it('drops what can no longer matter when something is added', async () => {
    const file = newFile();
    const { revocations, time } = await openAt(file);
    await revocations.add({ tokenId: 'short', until: NOW_MS + 10 });
    await revocations.add({ subject: 'bob', issuedBefore: NOW_MS, until: NOW_MS + 20 });
    time.nowMs += 10;
    await revocations.add({ tokenId: 'new' });
    expect(contentOf(file)).toEqual([
      { subject: 'bob', issuedBefore: NOW_MS, until: NOW_MS + 20 },
      { tokenId: 'new' },
    ]);
  });

  it('has one entry for a target, which says what both said', async () => {
    const file = newFile();
    const { revocations } = await openAt(file);
    await revocations.add({ subject: 'bob', issuedBefore: NOW_MS, until: NOW_MS + 20 });
    await revocations.add({ subject: 'bob', issuedBefore: NOW_MS - 5, until: NOW_MS + 30 });
    await revocations.add({ tokenId: 'one' });
    await revocations.add({ tokenId: 'one', until: NOW_MS + 30 });
    expect(contentOf(file)).toEqual([
      { subject: 'bob', issuedBefore: NOW_MS, until: NOW_MS + 30 },
      { tokenId: 'one' },
    ]);
  });

  it('is read again a second later when somebody changed it, and counts up', async () => {
    const file = newFile();
    write(file, []);
    const { revocations, time } = await openAt(file);
    const { revision } = revocations;
    await revocations.refresh();
    write(file, [{ tokenId: 'one' }]);
    await revocations.refresh();
    expect(revocations.revision).toBe(revision);
    time.elapsedMs = 1000;
    await revocations.refresh();
    expect(revocations.count).toBe(1);
    expect(revocations.revision).toBe(revision + 1);
    time.elapsedMs = 2000;
    await revocations.refresh();
    expect(revocations.revision).toBe(revision + 1);
  });

  it('that cannot be read any more changes nothing and is said once', async () => {
    const file = newFile();
    write(file, [{ tokenId: 'one' }]);
    const { revocations, notes, time } = await openAt(file);
    writeFileSync(file, '{"revocations":[{"tokenId":7}]}');
    for (const elapsedMs of [1000, 2000, 3000]) {
      time.elapsedMs = elapsedMs;
      await revocations.refresh();
    }
    expect(revocations.count).toBe(1);
    expect(notes).toEqual([
      `The file of revocations ${file} cannot be used: entry 0 is neither {"tokenId": text} nor {"subject": text, ` +
        '"issuedBefore": ms}, with "until": ms if any. The revocations from before stay in force.',
    ]);
    await expect(revocations.add({ tokenId: 'two' })).rejects.toThrow('entry 0 is neither');
    expect(readFileSync(file, 'utf8')).toBe('{"revocations":[{"tokenId":7}]}');
  });

  it('takes the lock of a process that is gone', async () => {
    const file = newFile();
    writeFileSync(`${file}.lock`, '');
    utimesSync(`${file}.lock`, 1, 1);
    const { revocations } = await openAt(file);
    await revocations.add({ tokenId: 'one' });
    expect(contentOf(file)).toEqual([{ tokenId: 'one' }]);
  });

  it('that is full takes no more, but those that are there again', async () => {
    const file = newFile();
    write(
      file,
      Array.from({ length: MAX_REVOCATIONS }, (_, i) => ({ tokenId: `${i}`, until: NOW_MS + 10 })),
    );
    const { revocations, time } = await openAt(file);
    await expect(revocations.add({ tokenId: 'more' })).rejects.toThrow(
      'There are 20000 revocations already.',
    );
    await revocations.add({ tokenId: '7', until: NOW_MS + 20 });
    time.nowMs += 10;
    await revocations.add({ tokenId: 'more' });
    expect(contentOf(file)).toEqual([{ tokenId: '7', until: NOW_MS + 20 }, { tokenId: 'more' }]);
  });

  it.each<[string, unknown]>([
    ['no list', {}],
    ['a list of texts', ['one']],
    ['an entry about nothing', [{}]],
    ['an entry about both', [{ tokenId: 'one', subject: 'bob', issuedBefore: 1 }]],
    ['a subject without a time', [{ subject: 'bob' }]],
    ['a time that is no number', [{ subject: 'bob', issuedBefore: '2026-11-21' }]],
    ['an end that is no number', [{ tokenId: 'one', until: 'soon' }]],
    ['an empty name', [{ tokenId: '' }]],
    ['a member that nobody knows', [{ tokenId: 'one', untill: 1 }]],
    ['too many', Array.from({ length: MAX_REVOCATIONS + 1 }, (_, i) => ({ tokenId: `${i}` }))],
  ])('stops the start with %s', async (_what, list) => {
    const file = newFile();
    write(file, list);
    await expect(openAt(file)).rejects.toThrow(/^The file of revocations .* cannot be used: /);
  });

  it('must be there to add something', async () => {
    const { revocations } = await openAt('');
    await expect(revocations.add({ tokenId: 'one' })).rejects.toThrow('set authRevocations');
    expect(revocations.isRevoked({ subject: 'alice', issuedAtMs: 0 })).toBe(false);
  });
});

it('a token that was good is refused once it is revoked', async () => {
  const authenticator = await withKeys([SECRET], { revocations: newFile() });
  const token = makeToken({ alg: 'HS256' }, { ...CLAIMS, iat: NOW_S, jti: 'one' });
  expect(await outcome(authenticator, token)).toBe('ok');
  await authenticator.revocations.add({ tokenId: 'one' });
  expect(await outcome(authenticator, token)).toBe('REVOKED');
});
