import { describe, expect, test } from 'vitest';
import { possessFileStore } from '../../src/storage/file-store.ts';
import {
  copyStore,
  dump,
  flip,
  journalOf,
  type MadeStore,
  runHere,
  SKU,
  useStore,
} from './store-fixtures.ts';

let made: MadeStore;
useStore((store) => {
  made = store;
});
describe('journal dump', () => {
  test('prints a line for each event, oldest first', async () => {
    const { code, stdout } = await runHere('journal', 'dump', made.url, '--sku', SKU);
    const { expired, confirmed, extended, released, last } = made.holds;
    const sku = JSON.stringify(SKU);
    const lines = stdout
      .replace(/^\S+Z {2}/gm, '')
      .replace(/ +/g, ' ')
      .replace(/holder [0-9a-f]{16}/g, 'holder #')
      .trimEnd()
      .split('\n');
    expect(code).toBe(0);
    expect(lines).toEqual([
      `0:1 STOCKED ${sku} total 20 at most 10 per holder`,
      `0:3 HELD ${sku} hold ${confirmed} quantity 3 ttl 3600000 ms holder # key yes`,
      `0:4 HELD ${sku} hold ${expired} quantity 4 ttl 1 ms holder # key yes`,
      `0:5 EXPIRED ${sku} hold ${expired}`,
      `0:6 CONFIRMED ${sku} hold ${confirmed} quantity 3`,
      `0:7 HELD ${sku} hold ${extended} quantity 2 ttl 1800000 ms holder # key yes`,
      `0:8 EXTENDED ${sku} hold ${extended} ttl 3600000 ms`,
      `0:9 HELD ${sku} hold ${released} quantity 1 ttl 60000 ms holder # key yes`,
      `0:10 RELEASED ${sku} hold ${released} quantity 1`,
      `0:11 RETURNED ${sku} hold ${confirmed} quantity 1`,
      `0:12 HELD ${sku} hold ${last} quantity 1 ttl 3600000 ms holder # key yes`,
    ]);
  });

  test('with --json prints a line of JSON for each', async () => {
    const [line] = await dump(made.url, '--hold', String(made.holds.last));
    expect(line).toEqual({
      time: new Date(line.timeMs).toISOString(),
      timeMs: expect.any(Number),
      segment: 0,
      lsn: 12,
      type: 'HELD',
      sku: SKU,
      skuNumber: 0,
      hold: made.holds.last,
      slot: made.holds.last % 2 ** 22,
      generationLow: Math.floor(made.holds.last / 2 ** 32) % 1024,
      quantity: 1,
      ttlMs: 3_600_000,
      holder: expect.stringMatching(/^[0-9a-f]{16}$/),
      key: true,
    });
  });

  test.each([
    ['a segment', ['--segment', '1'], ['1:1']],
    ['a hold', ['--hold', 'confirmed'], ['0:3', '0:6', '0:11']],
    ['so many', ['--segment', '0', '--limit', '2'], ['0:1', '0:2']],
    ['from an LSN', ['--segment', '0', '--from', '0:10'], ['0:10', '0:11', '0:12']],
    ['up to an LSN', ['--segment', '0', '--to', '0:2'], ['0:1', '0:2']],
    ['up to a time', ['--to', '2001-01-01'], []],
    ['from a time', ['--from', '2999-01-01T00:00Z'], []],
  ])('selects %s', async (_, args, places) => {
    const lines = await dump(
      made.url,
      ...args.map((arg) => (arg === 'confirmed' ? String(made.holds.confirmed) : arg)),
    );
    expect(lines.map(({ segment, lsn }) => `${segment}:${lsn}`)).toEqual(places);
  });

  test('takes other segments by the time of the event', async () => {
    const at = (await dump(made.url, '--segment', '0', '--from', '0:4', '--to', '0:4'))[0].timeMs;
    const lines = await dump(made.url, '--to', '0:4');
    expect(lines.filter(({ segment }) => segment === 0)).toHaveLength(4);
    expect(lines.filter(({ segment }) => segment === 1).every(({ timeMs }) => timeMs <= at)).toBe(true);
  });

  test('an event that the journal does not have ends with 2 and names those it has', async () => {
    const outcome = await runHere('journal', 'dump', made.url, '--from', '1:77');
    expect(outcome).toEqual({
      code: 2,
      stdout: '',
      stderr: 'holdfast: There is no event 1:77: the journal has 1:1 to 1:1.\n',
    });
  });

  test('prints what is before the damage, then ends with 74', async () => {
    const { directory, url } = copyStore(made, 'dump-flipped');
    const [file] = journalOf(directory);
    flip(file, 700);
    const { code, stdout, stderr } = await runHere('journal', 'dump', url);
    const whole = (await runHere('journal', 'dump', made.url)).stdout;
    expect(code).toBe(74);
    expect(stderr).toContain(`holdfast: ${file}: frame `);
    expect(stdout.length).toBeGreaterThan(0);
    expect(stdout.length).toBeLessThan(whole.length);
    expect(whole.startsWith(stdout)).toBe(true);
  });

  test('beside a server prints what is there, and says so', async () => {
    const possession = await possessFileStore(made.url, { segments: 3, create: false });
    try {
      const outcome = await runHere('journal', 'dump', made.url, '--segment', '1');
      expect(outcome).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('STOCKED'),
        stderr: expect.stringContaining('written by now'),
      });
    } finally {
      await possession.release();
    }
  });
});
