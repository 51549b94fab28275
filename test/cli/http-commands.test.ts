import { describe, expect, test } from 'vitest';
import { type Answer, deadUrl, fakeServer, runCli, SILENCE } from './fixtures.ts';

const SKU = {
  sku: 'sku-1',
  available: 7,
  held: 2,
  sold: 1,
  total: 10,
  maxPerHold: 4,
  maxPerHolder: 0,
  maxTtlMs: 60_000,
  earliestEnd: 0,
};
const HOLD = { id: 4_294_967_297, state: 'held', sku: 'sku-1', quantity: 2, sold: 0, returned: 0, endsAt: 1 };
const SOUND = {
  skus: 1,
  openHolds: 1,
  available: 7,
  held: 2,
  sold: 1,
  total: 10,
  keys: 3,
  violations: 0,
  fenced: 0,
  segments: [],
};

describe('a command over HTTP', () => {
  const read = { 'GET /v1/skus/sku-1': { body: SKU } };
  test.each<[string, string[], Record<string, Answer>, unknown[], unknown, RegExp]>([
    [
      'stock create',
      ['stock', 'create', 'sku-1', '--total', '10', '--max-per-hold', '4', '--max-ttl', '1m'],
      { 'PUT /v1/skus/sku-1': { body: {} }, ...read },
      [{ method: 'PUT', body: { total: 10, maxPerHold: 4, maxTtlMs: 60_000 } }, { method: 'GET' }],
      SKU,
      /^sku-1: 7 available, 2 held, 1 sold, 10 in total\nlimits: at most 4 units per hold, 60,000 ms to live\n$/,
    ],
    [
      'stock restock by less',
      ['stock', 'restock', 'sku-1', '-5'],
      { 'POST /v1/skus/sku-1/restock': { body: {} }, ...read },
      [{ method: 'POST', body: { delta: -5 } }, { method: 'GET' }],
      SKU,
      /7 available/,
    ],
    ['stock show', ['stock', 'show', 'sku-1'], read, [{ method: 'GET' }], SKU, /7 available/],
    [
      'stock show of a name that needs escaping',
      ['stock', 'show', 'a/b ?é'],
      { 'GET /v1/skus/a%2Fb%20%3F%C3%A9': { body: { ...SKU, sku: 'a/b ?é', earliestEnd: 1000 } } },
      [{ method: 'GET' }],
      { ...SKU, sku: 'a/b ?é', earliestEnd: 1000 },
      /^a\/b \?é: .*the earliest hold ends 1970-01-01T00:00:01\.000Z \([\d.]+ s ago\)\n$/s,
    ],
    [
      'show-hold',
      ['show-hold', '4294967297', '--holder', 'ada'],
      { 'GET /v1/holds/4294967297': { body: HOLD } },
      [{ method: 'GET', holder: 'ada' }],
      HOLD,
      /^hold 4294967297: 2 units of sku-1, held\nends 1970-/,
    ],
    [
      'inspect',
      ['inspect'],
      { 'GET /v1/inspect': { body: SOUND } },
      [{ method: 'GET' }],
      SOUND,
      /7 available \+ 2 held \+ 1 sold = 10; total 10\nthe invariant holds\n$/,
    ],
  ])('%s asks, prints text or JSON, and ends with 0', async (_, args, routes, asked, json, text) => {
    await using server = await fakeServer(routes);
    const forPeople = await runCli([...args, '--url', server.url]);
    expect(forPeople).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(text) });
    expect(server.seen).toMatchObject(asked);
    const forScripts = await runCli([...args, '--json'], { HOLDFAST_URL: server.url });
    expect(forScripts).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(forScripts.stdout)).toEqual(json);
  });
});

describe('inspect ends with 1', () => {
  test.each([
    ['violations were found', { ...SOUND, violations: 2 }],
    ['the sums do not add up', { ...SOUND, sold: 0 }],
  ])('when %s', async (_, body) => {
    await using server = await fakeServer({ 'GET /v1/inspect': { body } });
    const outcome = await runCli(['inspect', '--url', server.url]);
    expect(outcome).toMatchObject({ code: 1, stdout: expect.stringContaining('THE INVARIANT IS VIOLATED') });
  });
});

describe('a failure', () => {
  const problem = {
    type: 'about:blank',
    title: 'UNKNOWN_SKU',
    status: 404,
    detail: 'never stocked',
    code: 'UNKNOWN_SKU',
  };

  test('that is a refusal ends with 1 and shows the problem details', async () => {
    await using server = await fakeServer({ 'GET /v1/skus/sku-1': { status: 404, body: problem } });
    const args = ['stock', 'show', 'sku-1', '--url', server.url];
    expect(await runCli(args)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'holdfast: UNKNOWN_SKU: never stocked\n',
    });
    const { code, stderr } = await runCli([...args, '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'UNKNOWN_SKU', message: 'UNKNOWN_SKU: never stocked', details: { httpStatus: 404 } },
    });
  });

  test.each([
    ['over HTTP', ['inspect'], 'NO_CONNECTION', /No server answers at .* \(ECONNREFUSED\)/],
    ['over WebSocket', ['hold', 'sku-1'], 'CLOSED', /could not be made/],
  ])('to connect %s ends with 3', async (_, args, code, message) => {
    const outcome = await runCli([...args, '--json', '--url', await deadUrl()]);
    expect(outcome).toMatchObject({ code: 3, stdout: '' });
    expect(JSON.parse(outcome.stderr)).toMatchObject({
      error: { code, message: expect.stringMatching(message) },
    });
  });

  test('to understand another kind of server ends with 3', async () => {
    await using server = await fakeServer({ 'GET /v1/inspect': { body: '<html>' } });
    const outcome = await runCli(['inspect', '--url', server.url]);
    expect(outcome).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/is no Holdfast server \(HTTP 200, no JSON\)/),
    });
  });

  test('to answer in time ends with 3', async () => {
    await using server = await fakeServer({ 'GET /v1/inspect': { body: SILENCE } });
    const outcome = await runCli(['inspect', '--timeout', '50ms', '--url', server.url]);
    expect(outcome).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/No answer from .* within 50 ms/),
    });
  });

  test('of the demo to find the server it was told to use ends with 3', async () => {
    const outcome = await runCli(['demo', '--url', await deadUrl()]);
    expect(outcome).toMatchObject({ code: 3, stderr: expect.stringMatching(/No server is ready at/) });
  });
});
