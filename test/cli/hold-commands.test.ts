import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realServer, runCli } from './fixtures.ts';

let server: Awaited<ReturnType<typeof realServer>>;
beforeAll(async () => {
  server = await realServer();
});
afterAll(() => server.stop());

/** Runs with --json against the server; the result, or the error with the exit code. */
async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await runCli([...args, '--json', '--url', server.url]);
  return code === 0 ? JSON.parse(stdout) : { code, ...JSON.parse(stderr) };
}

async function placed(sku: string, quantity: number, ...options: string[]): Promise<string> {
  await json('stock', 'create', sku, '--total', '10');
  return String(((await json('hold', sku, String(quantity), ...options)) as { id: number }).id);
}

describe('a hold from the command line', () => {
  test('is placed, extended, confirmed in part, shown and returned', async () => {
    await json('stock', 'create', 'life', '--total', '10', '--max-per-hold', '4');
    const before = Date.now();
    const hold = (await json('hold', 'life', '3', '--ttl', '10s')) as { id: number; expiresAt: number };
    expect(hold).toEqual({
      id: expect.any(Number),
      sku: 'life',
      quantity: 3,
      holder: 'anonymous',
      expiresAt: expect.any(Number),
    });
    expect(hold.expiresAt).toBeGreaterThanOrEqual(before + 9_000);
    const id = String(hold.id);
    const extended = (await json('extend', id, '--ttl', '1m')) as { expiresAt: number };
    expect(extended.expiresAt).toBeGreaterThan(hold.expiresAt);
    expect(await json('confirm', id, '2')).toEqual({ id: hold.id, sold: 2 });
    expect(await json('confirm', id, '2')).toEqual({ id: hold.id, sold: 2 });
    expect(await json('return', id, '1', '--of', '2')).toEqual({ id: hold.id, sold: 1 });
    expect(await json('return', id, '1', '--of', '2')).toEqual({ id: hold.id, sold: 1 });
    expect(await json('show-hold', id)).toMatchObject({
      id: hold.id,
      state: 'confirmed',
      sku: 'life',
      sold: 1,
      returned: 1,
    });
    expect(await json('stock', 'show', 'life')).toMatchObject({
      available: 9,
      held: 0,
      sold: 1,
      total: 10,
      maxPerHold: 4,
    });
    expect(await json('stock', 'restock', 'life', '-4')).toMatchObject({ available: 5, total: 6 });
  });

  test('is released by parts', async () => {
    const id = await placed('parts', 3);
    expect(await json('release', id, '1', '--of', '3')).toEqual({ id: Number(id), held: 2 });
    expect(await json('release', id, '1', '--of', '3')).toEqual({ id: Number(id), held: 2 });
    expect(await json('release', id)).toEqual({ id: Number(id), held: 0 });
  });

  test('is the same one under the same key', async () => {
    const id = await placed('keyed', 2, '--key', 'order-7');
    expect(await json('hold', 'keyed', '2', '--key', 'order-7')).toMatchObject({ id: Number(id) });
    expect(await json('hold', 'keyed', '3', '--key', 'order-7')).toMatchObject({
      code: 1,
      error: { code: 'KEY_CONFLICT', details: { holdId: Number(id) } },
    });
  });

  test('belongs to its holder', async () => {
    const id = await placed('owned', 1, '--holder', 'ada');
    for (const args of [
      ['confirm', id],
      ['show-hold', id],
      ['release', id, '--holder', 'bob'],
    ]) {
      expect(await json(...args)).toMatchObject({ code: 1, error: { code: 'UNKNOWN_HOLD' } });
    }
    const byEnv = await runCli(['confirm', id, '--url', server.url], { HOLDFAST_HOLDER: 'ada' });
    expect(byEnv).toEqual({ code: 0, stdout: `hold ${id} is confirmed: 1 unit sold\n`, stderr: '' });
  });

  test('says what to do next', async () => {
    await json('stock', 'create', 'hint', '--total', '1');
    const { stdout } = await runCli(['hold', 'hint', '--ttl', '30s', '--holder', 'ada', '--url', server.url]);
    expect(stdout).toMatch(
      new RegExp(
        `^hold (\\d+): 1 unit of hint until \\S+Z \\(in [\\d.]+ s\\)\nnext: holdfast confirm \\1 --holder ada --url ${server.url}, or`,
      ),
    );
  });

  test.each([
    ['SOLD_OUT', ['hold', 'none'], { available: 0 }],
    ['UNKNOWN_SKU', ['hold', 'never-stocked'], {}],
    ['UNKNOWN_HOLD', ['confirm', '4294967296999'], {}],
    ['STOCK_LIMIT', ['stock', 'restock', 'none', '-1'], {}],
    ['MALFORMED', ['hold', 'x'.repeat(65)], {}],
  ])('that is refused with %s says so', async (status, args, details) => {
    await json('stock', 'create', 'none', '--total', '0');
    const code = status === 'MALFORMED' ? 2 : 1;
    expect(await json(...args)).toMatchObject({ code, error: { code: status, details } });
  });
});

test('inspect finds the invariant to hold over the live server', async () => {
  await placed('inspected', 4);
  expect(await json('inspect')).toMatchObject({ violations: 0, fenced: 0, openHolds: expect.any(Number) });
});
