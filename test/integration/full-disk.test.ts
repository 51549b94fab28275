import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { RunningServer, ServerHooks } from '../../src/runtime/server.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { startHere } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const path = tempDir();
const small = path('small');
mkdirSync(small);
const mounted = mount('tmpfs', '-o', 'size=2m', 'none');

function mount(...args: string[]): boolean {
  return spawnSync('mount', ['-t', ...args, small], { stdio: 'ignore' }).status === 0;
}

// Registered after tempDir's own, and so run before it.
afterAll(() => {
  if (mounted) spawnSync('umount', ['--lazy', small], { stdio: 'ignore' });
});

const settings = { store: `file:${small}/store`, ack: 'sync', storeStallMs: 200 } as const;
let server: RunningServer;
let client: RawClient;

async function start(hooks: ServerHooks = {}): Promise<void> {
  server = await startHere(settings, hooks);
  client = await RawClient.connect(server.url);
}

async function stop(): Promise<void> {
  await client.close();
  await server.stop();
}

afterEach(stop);

// Only root may mount. Elsewhere this counts as skipped.
it.skipIf(!mounted)(
  'a full disk: nothing is acknowledged that is not on it, reads go on, and it heals when there is room',
  async () => {
    const events: string[] = [];
    await start({ log: ({ event }) => events.push(event) });
    const stock = () => client.call(Op.STOCK, 'sku', StockMode.TOTAL, 1_000_000).then(([status]) => status);
    await expect.poll(stock).toBe(Status.OK);
    let accepted = 0;
    let refused = 0;
    const hold = () =>
      client.callAll(Array.from({ length: 100 }, () => [Op.HOLD, 'sku', 1, 600_000])).then((replies) => {
        for (const [status] of replies) {
          if (status === Status.OK) accepted++;
          else refused++;
        }
      });
    const pending: Promise<void>[] = [];
    // A store that stands still for a moment refuses too; only a full disk is trouble.
    while ((refused === 0 || !events.includes('store-trouble')) && accepted < 1_000_000) {
      const next = hold();
      pending.push(next);
      await Promise.race([next, sleep(50)]);
      if (refused > 0) await sleep(5);
    }
    const acceptedWhenFull = accepted;
    expect(events).toContain('store-trouble');
    const [status, available, held] = await client.call(Op.READ, 'sku');
    expect([status, (available as number) + (held as number)]).toEqual([Status.OK, 1_000_000]);
    // What waits for the disk is held in memory and acknowledged to nobody.
    expect(held).toBeGreaterThan(acceptedWhenFull);
    const [refusal, retryAfterMs] = await client.call(Op.HOLD, 'sku', 1, 600_000);
    expect([refusal, retryAfterMs]).toEqual([Status.UNAVAILABLE, 1000]);

    expect(mount('tmpfs', '-o', 'remount,size=64m', 'none')).toBe(true);
    await Promise.all(pending);
    await expect.poll(() => events).toContain('store-healed');
    await expect.poll(() => client.call(Op.HOLD, 'sku', 1, 600_000).then(([first]) => first)).toBe(Status.OK);
    accepted = (await client.call(Op.READ, 'sku'))[2] as number;
    await stop();

    await start();
    expect((await client.call(Op.READ, 'sku')).slice(1, 3)).toEqual([1_000_000 - accepted, accepted]);
  },
);
