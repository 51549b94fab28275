import { describe, expect, test } from 'vitest';
import type { SaleResult } from '../../src/cli/demo/sale.ts';
import { Tally } from '../../src/cli/demo/tally.ts';
import { judge, verdictText } from '../../src/cli/demo/verdict.ts';
import type { SkuBooks } from '../../src/cli/http.ts';
import { DEFAULT_URL } from '../../src/cli/options.ts';
import { realServer, runCli } from './fixtures.ts';

/** A server of the developer's own at the default address is left alone: the demo would sell there. */
const otherServer = await fetch(`${DEFAULT_URL}/healthz`).then(
  () => `; skipped, since ${DEFAULT_URL} has one`,
  () => undefined,
);

function books(sku: string, change: Partial<SkuBooks> = {}): SkuBooks {
  const limits = { maxPerHold: 3, maxPerHolder: 0, maxTtlMs: 10_000, earliestEnd: 0 };
  return { sku, available: 0, held: 0, sold: 10, total: 10, ...limits, ...change };
}

/** Receipts for all ten units of both SKUs, unless told otherwise. */
function tally(change: Partial<Tally> = {}, receipts = [4, 6]): Tally {
  const made = Object.assign(new Tally(), change);
  let holdId = 1;
  for (const sku of ['a', 'b']) {
    for (const quantity of receipts) made.receipts.push({ sku, holdId: holdId++, quantity });
  }
  return made;
}

function sale(change: Partial<SaleResult> = {}): SaleResult {
  const both = [books('a'), books('b')];
  return {
    tally: tally(),
    books: both,
    stocked: 20,
    readings: 9,
    unbalanced: 0,
    durationMs: 1234,
    ...change,
  };
}

const twice = tally();
twice.receipts[1] = { sku: 'a', holdId: 1, quantity: 6 };

describe('the verdict', () => {
  test('is good when every unit was sold once', () => {
    const verdict = judge(sale(), 0);
    expect(verdict).toMatchObject({ ok: true, sold: 20, receipts: 20, oversold: 0, leaked: 0 });
    expect(verdictText(sale(), verdict, 5)).toMatch(/✔ oversold: 0\n(✔ .*\n)+\nEvery unit was sold once\.$/);
  });

  test.each<[string, Partial<SaleResult>, number, string[]]>([
    [
      'some are unsold',
      { books: [books('a'), books('b', { sold: 9, available: 1 })], tally: tally({}, [4, 5]) },
      0,
      ['sold = stocked', "buyers' receipts = server's sold"],
    ],
    [
      'the server sold too many',
      { books: [books('a', { sold: 11 }), books('b', { sold: 9, available: 1 })] },
      0,
      ['sold = stocked', 'oversold', 'leaked', "buyers' receipts = server's sold"],
    ],
    [
      'buyers have receipts for too many',
      { tally: tally({}, [5, 6]) },
      0,
      ['oversold', "buyers' receipts = server's sold"],
    ],
    ['receipts are missing', { tally: tally({}, [4]) }, 0, ["buyers' receipts = server's sold"]],
    ['one hold was sold twice', { tally: twice }, 0, ["buyers' receipts = server's sold"]],
    [
      'units stay held',
      { books: [books('a'), books('b', { sold: 9, held: 1 })] },
      0,
      ['sold = stocked', 'leaked', "buyers' receipts = server's sold"],
    ],
    [
      'units are gone',
      { books: [books('a'), books('b', { sold: 9 })] },
      0,
      ['sold = stocked', 'leaked', "buyers' receipts = server's sold"],
    ],
    [
      'the books did not add up once',
      { unbalanced: 1 },
      0,
      ['available + held + sold = total, read during the sale'],
    ],
    [
      'a hold was sold past its deadline',
      { tally: tally({ soldPastDeadline: 1 }) },
      0,
      ['sold past the deadline'],
    ],
    ['inspect found something', {}, 1, ['violations found by inspect']],
    [
      'a buyer met an error',
      { tally: tally({ failures: 1, firstFailure: 'no' }) },
      0,
      ['buyers who met an error'],
    ],
  ])('is bad when %s', (_, change, violations, failing) => {
    const verdict = judge(sale(change), violations);
    expect(verdict.ok).toBe(false);
    expect(verdict.checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(failing);
    expect(verdictText(sale(change), verdict, 5)).toMatch(/✘ .*\n(.*\n)*\nSOMETHING IS OFF, see ✘ above\.$/);
  });
});

describe('the demo', () => {
  const alone = `without a server starts its own, sells everything once, and stops it${otherServer ?? ''}`;
  test.skipIf(otherServer !== undefined)(alone, async () => {
    const { code, stdout, stderr } = await runCli(['demo', '--buyers', '120', '--at-once', '60', '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const summary = JSON.parse(stdout);
    expect(summary).toMatchObject({
      ok: true,
      ownServer: true,
      stocked: 15,
      sold: 15,
      receipts: 15,
      oversold: 0,
      leaked: 0,
    });
    await expect(fetch(`${summary.url}/readyz`)).rejects.toThrow('fetch failed');
  });

  test('with a server uses it, and prints a line each second where there is no terminal', async () => {
    await using server = await realServer();
    const { code, stdout } = await runCli(['demo', '--buyers', '60', '--units', '1'], {
      HOLDFAST_URL: server.url,
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(`^Using the server at ${server.url}\\.\n60 buyers want 5 SKUs of 1 unit each\\.`),
    );
    expect(stdout).toMatch(/\n {2}\d+ s {2}\d of 5 sold, \d held, \d+ connected, \d+ visits\n/);
    expect(stdout).toMatch(/\n✔ sold = stocked: 5 of 5\n/);
    // What it left behind is sound, and nobody is still connected to it.
    expect((await runCli(['inspect', '--url', server.url])).code).toBe(0);
    expect(await server.stop()).toBe(0);
  });

  test('ends with 1 when not everything was sold in time', async () => {
    await using server = await realServer();
    const args = ['demo', '--buyers', '3', '--units', '1000', '--limit', '1s', '--json', '--url', server.url];
    const { code, stdout } = await runCli(args);
    expect(code).toBe(1);
    const { ok, oversold, leaked, checks } = JSON.parse(stdout);
    expect({ ok, oversold, leaked }).toEqual({ ok: false, oversold: 0, leaked: 0 });
    expect(checks.filter((check: { ok: boolean }) => !check.ok)).toMatchObject([{ name: 'sold = stocked' }]);
  });

  test('whose server goes away ends with a failure, not with a verdict', async () => {
    const server = await realServer();
    const demo = runCli(['demo', '--buyers', '50', '--units', '1000', '--limit', '20s', '--url', server.url]);
    await expect
      .poll(async () => (await (await fetch(`${server.url}/v1/inspect`)).json()).sold)
      .toBeGreaterThan(0);
    server.child.kill('SIGKILL');
    const { code, stderr } = await demo;
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('No server answers at') });
    await server.ended;
  });
});
