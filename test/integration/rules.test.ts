import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Layer, Status } from '../../protocol/status.ts';
import type { AdmissionRules } from '../../src/admission/rules.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { startHere } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const FRONTS = 2;
const inDir = tempDir();
const configPath = inDir('holdfast.json');
let server: RunningServer;
let buyers: RawClient[] = [];

afterEach(async () => {
  await Promise.all(buyers.map((buyer) => buyer.close()));
  buyers = [];
  await server.stop();
});

function write(admission: Partial<Record<keyof AdmissionRules, unknown>> | string): void {
  const text = typeof admission === 'string' ? admission : JSON.stringify({ admission });
  writeFileSync(configPath, text);
}

/** A server with a client on each of its fronts. */
async function start(path: string | undefined = configPath): Promise<void> {
  server = await startHere({ fronts: FRONTS }, { configPath: path });
  for (let front = 0; front < FRONTS; front++) {
    buyers.push(await RawClient.connect(server.url, `buyer-${front}`));
  }
  await buyers[0].call(Op.STOCK, 'hot', StockMode.TOTAL, 1000);
}

/** Asks each front in turn: a connection for each request. */
async function askEach(method: string, path: string) {
  const answers: { status: number; body: Record<string, unknown> }[] = [];
  for (let front = 0; front < FRONTS; front++) {
    const asked = request(`${server.httpUrl}${path}`, { agent: false, method });
    asked.end();
    const [response] = await once(asked, 'response');
    const text = (await response.toArray()).join('');
    answers.push({ status: response.statusCode, body: JSON.parse(text) });
  }
  return answers;
}

/** One HOLD after the other, from front to front: what each is answered, and by which layer it was refused. */
async function hold(count: number): Promise<(number | undefined)[]> {
  const layers: (number | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const [status, , layer] = await buyers[i % FRONTS].call(Op.HOLD, 'hot', 1, 60_000);
    layers.push(status === Status.OK ? 0 : status === Status.RATE_LIMITED ? layer : undefined);
  }
  return layers;
}

const few = (limit: number) => ({ skuWindow: { windowMs: 600_000, limit } });
const refused = Layer.SKU_WINDOW;

it('a SKU is held as often as its window allows over all fronts, and what was counted stays when the rules are read again', async () => {
  write(few(3));
  await start();
  expect(await hold(5)).toEqual([0, 0, 0, refused, refused]);
  // By the order of somebody, with every front.
  for (const limit of [5, 6]) {
    write(few(limit));
    const [{ status, body }, again] = await askEach('POST', '/v1/rules/reload');
    expect([status, body.changed, again.body.changed]).toEqual([200, ['skuWindow'], []]);
    expect((await hold(4)).filter((layer) => layer === 0)).toHaveLength(limit === 5 ? 2 : 1);
  }
  const shown = await askEach('GET', '/v1/rules');
  expect(shown[0]).toEqual(shown[1]);
  expect(shown[0].body).toMatchObject({
    rules: { skuWindow: { windowMs: 600_000, limit: 6 }, holderRate: 'off' },
    sources: { skuWindow: 'config file', holderRate: 'default' },
    file: configPath,
    problems: [],
  });
  // By itself.
  write(few(8));
  await expect.poll(async () => (await askEach('GET', '/v1/rules'))[1].body.rules).toMatchObject(few(8));
  expect(await hold(3)).toEqual([0, 0, refused]);
  const [status, retryMs, layer] = await buyers[1].call(Op.HOLD, 'hot', 1, 60_000);
  expect([status, layer]).toEqual([Status.RATE_LIMITED, Layer.SKU_WINDOW]);
  expect(retryMs).toBeGreaterThan(500_000);
  expect(retryMs).toBeLessThanOrEqual(600_000);
  // What settles a hold, or only asks, is not the window's business.
  expect((await buyers[0].call(Op.READ, 'hot'))[0]).toBe(Status.OK);
});

it('a holder has its tokens on all fronts together, and may come again at the time that it is told', async () => {
  write({ holderRate: { perSecond: 1, burst: 1 } });
  await start();
  // The same holder on both fronts.
  const [one, other] = [
    await RawClient.connect(server.url, 'carol'),
    await RawClient.connect(server.url, 'carol'),
  ];
  buyers.push(one, other);
  // In turns, until one comes within a second of the other.
  let told: number[];
  for (let turn = 0; ; turn++) {
    told = await [one, other][turn % 2].call(Op.READ, 'hot');
    if (told[0] !== Status.OK) break;
  }
  const [status, retryMs, layer] = told;
  expect([status, layer]).toEqual([Status.RATE_LIMITED, Layer.HOLDER_RATE]);
  expect(retryMs).toBeLessThanOrEqual(1000);
  await new Promise((resolve) => setTimeout(resolve, retryMs + 1));
  expect((await other.call(Op.READ, 'hot'))[0]).toBe(Status.OK);
  expect((await one.call(Op.CONFIRM, 1))[0]).toBe(Status.UNKNOWN_HOLD);
});

it('a file with mistakes, or half of one, changes nothing and says why', async () => {
  write(few(1));
  await start();
  expect(await hold(2)).toEqual([0, refused]);
  const bad: [string, RegExp][] = [
    [JSON.stringify({ admission: few(9) }).slice(0, 40), /is no JSON/],
    [JSON.stringify({ admission: { ...few(9), depth: 7 } }), /admission\.depth = 7 cannot be used/],
    [JSON.stringify({ admission: few(9), nonsense: 1 }), /nonsense in .*there is no such setting/],
  ];
  for (const [text, why] of bad) {
    write(text);
    for (const { status, body } of await askEach('POST', '/v1/rules/reload')) {
      expect(status).toBe(422);
      expect(body).toMatchObject({ code: 'BAD_RULES', problems: [expect.stringMatching(why)] });
    }
    const [{ body }] = await askEach('GET', '/v1/rules');
    expect(body).toMatchObject({ rules: few(1), problems: [expect.stringMatching(why)] });
    expect(await hold(2)).toEqual([refused, refused]);
  }
  write(few(2));
  expect((await askEach('POST', '/v1/rules/reload'))[0].status).toBe(200);
  expect(await hold(2)).toEqual([0, refused]);
});

it('without a config file the defaults are in force, and there is nothing to read', async () => {
  server = await startHere({ fronts: FRONTS }, { configPath: undefined });
  for (const { body } of await askEach('GET', '/v1/rules')) {
    expect(body).toMatchObject({ file: null, rules: { holderRate: 'off', skuWindow: 'off' } });
  }
  for (const { status, body } of await askEach('POST', '/v1/rules/reload')) {
    expect([status, body.code]).toEqual([409, 'NO_CONFIG_FILE']);
  }
});
