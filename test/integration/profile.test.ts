import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import type {
  AllocationNode,
  CpuProfile,
  ProfileKind,
  ProfileReport,
} from '../../src/profile/profile-report.ts';
import { Profiler } from '../../src/profile/profiler.ts';
import { keepHolding } from '../fixtures/holding.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const place = tempDir();
let server: ServerProcess;
const stop = { now: false };
let buyers: Promise<unknown>[] = [];
const counts = new Map<string, number>();
const SKUS = Array.from({ length: 8 }, (_, i) => `profiled-${i}`);

beforeAll(async () => {
  server = await startServer({ store: `file:${place('store')}`, ack: 'journal', fronts: 2 });
  const client = await RawClient.connect(server.url);
  for (const sku of SKUS) await client.call(Op.STOCK, sku, StockMode.TOTAL, 1_000_000);
  await client.close();
  buyers = [1, 2, 3].map(() => keepHolding(server.url, SKUS, stop, counts));
});

afterAll(async () => {
  stop.now = true;
  await Promise.all(buyers);
  await server.stop();
});

const THREADS = ['front-0', 'front-1', 'shard-0', 'shard-1', 'storage', 'watchdog'];

function ask(query: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${server.httpUrl}/v1/profile?${query}`, { method: 'POST', headers });
}

async function take<Kind extends ProfileKind>(kind: Kind, seconds: number) {
  const response = await ask(`kind=${kind}&seconds=${seconds}`);
  const report = (await response.json()) as ProfileReport;
  expect([response.status, report.kind, report.seconds]).toEqual([200, kind, seconds]);
  return report as Extract<ProfileReport, { kind: Kind }>;
}

describe('POST /v1/profile', () => {
  it('samples what every thread executes, also those that never turn an event loop', async () => {
    // On a busy machine a thread that has much to wait for may go without a sample of its work for a while.
    await longEnough(1000, async (ms) => {
      const { threads } = await take('cpu', Math.min(ms, 60_000) / 1000);
      expect(threads.map(({ name }) => name).filter((name) => !name.startsWith('worker-'))).toEqual(THREADS);
      const functionsOf = (name: string) =>
        namesIn(threads.find((thread) => thread.name === name)?.profile as CpuProfile);
      expect(functionsOf('front-0').join()).toMatch(/route|onFrame|pumpRing|endTurn/);
      expect(functionsOf('shard-0').join()).toMatch(/runWorker|runCommand/);
      expect(functionsOf('shard-1').join()).toMatch(/runWorker|runCommand/);
      expect(functionsOf('storage').join()).toMatch(/runStorage|commit|fdatasync/);
      for (const { profile, name } of threads) expect(profile.samples.length, name).toBeGreaterThan(100);
    });
  });

  it('tells collections, CPU time, what was allocated and how many commands that was for', async () => {
    const { threads } = await take('health', 0.5);
    const of = (name: string) => threads.find((thread) => thread.name === name);
    for (const thread of threads) {
      expect(thread.windowMs).toBeGreaterThanOrEqual(490);
      expect(thread.cpuMs).toBeGreaterThanOrEqual(0);
      expect(thread.heapBytes).toBeGreaterThan(0);
      for (const { count, longestMs, totalMs } of [thread.minorCollections, thread.majorCollections]) {
        expect(longestMs).toBeLessThanOrEqual(totalMs);
        expect(count > 0 || totalMs === 0).toBe(true);
      }
    }
    expect(of('front-0')?.allocatedBytes).toBeGreaterThan(0);
    expect(of('front-0')?.eventLoopDelayMs?.max).toBeGreaterThanOrEqual(0);
    expect(of('shard-0')?.eventLoopDelayMs).toBeNull();
    expect([of('shard-0'), of('shard-1')].every((shard) => (shard?.commands ?? 0) > 0)).toBe(true);
    expect(of('storage')?.commands).toBeNull();
  });

  it('tells where each thread allocates', async () => {
    const { threads } = await take('allocations', 0.5);
    const front = threads.find(({ name }) => name === 'front-0');
    const bytes = (node: AllocationNode): number =>
      node.children.reduce((sum, child) => sum + bytes(child), node.selfSize);
    expect(bytes(front?.profile.head as AllocationNode)).toBeGreaterThan(0);
  });

  it('serves commands meanwhile', async () => {
    await longEnough(300, async (ms) => {
      const before = answered();
      await take('cpu', ms / 1000);
      expect(answered()).toBeGreaterThan(before);
    });
  });

  it('takes one at a time', async () => {
    await longEnough(500, async (ms) => {
      const both = await Promise.all([1, 2].map(() => ask(`seconds=${Math.min(ms, 30_000) / 1000}`)));
      const [taken, refused] = both.sort((a, b) => a.status - b.status);
      expect(taken.status).toBe(200);
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([409, 'BUSY']);
    });
    expect((await ask('seconds=0.1')).status).toBe(200);
  });

  it.each([
    ['a window that is too long', 'seconds=61', 400],
    ['a window that is too short', 'seconds=0', 400],
    ['no number', 'seconds=soon', 400],
    ['a kind that there is not', 'kind=heap', 400],
    ['a misspelt parameter', 'secs=1', 400],
  ])('refuses %s', async (_, query, status) => {
    const response = await ask(query);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      status,
      'MALFORMED',
    ]);
  });

  it('can be asked of any front', async () => {
    // Connections are dealt to the fronts in turn.
    for (let front = 0; front < 2; front++) {
      const status = await new Promise((resolve, reject) => {
        const url = `${server.httpUrl}/v1/profile?seconds=0.1&kind=health`;
        const asked = request(url, { method: 'POST', agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.once('error', reject);
        asked.end();
      });
      expect(status).toBe(200);
    }
  });

  it('refuses pages of other sites', async () => {
    expect((await ask('seconds=0.1', { origin: 'https://example.com' })).status).toBe(403);
  });
});

it('a server that is told to stop does not wait for the end of a profile', async () => {
  const other = await startServer({ fronts: 2 });
  const asked = fetch(`${other.httpUrl}/v1/profile?seconds=60`, { method: 'POST' }).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await other.stop()).toBe(0);
  const response = await asked;
  expect([undefined, 500]).toContain(response?.status);
});

it('takes none once the server stops, since a front would not end before its answer', async () => {
  const profiler = new Profiler('front-0', {});
  await profiler.stop();
  await expect(profiler.take({ kind: 'health', seconds: 0.1 })).rejects.toThrow('the server stops');
});

function answered(): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

function namesIn({ nodes }: CpuProfile): string[] {
  return nodes.map(({ callFrame }) => callFrame.functionName);
}
