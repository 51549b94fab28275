import { copyFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { LogEvent } from '../../src/log/events.ts';
import { Certificates } from '../../src/runtime/certificates.ts';
import { makeCertificate } from '../fixtures/certificate.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const file = tempDir();
const WAIT = { timeout: 60_000, interval: 20 };
const DAY_MS = 86_400_000;

afterEach(() => {
  vi.useRealTimers();
});

/** Follows `live`, of which `next` then takes the place; `when` stands in between. */
async function replaced(apply: () => Promise<void>, when = () => {}) {
  for (const name of ['live', 'next']) makeCertificate(file(name), 1);
  const events: LogEvent[] = [];
  const tls = { cert: file('live.crt'), key: file('live.key'), untilMs: 0 };
  const certificates = await Certificates.watch({
    ...{ tls, lookMs: 20, apply },
    log: (event) => events.push(event),
  });
  when();
  for (const end of ['crt', 'key']) copyFileSync(file(`next.${end}`), file(`live.${end}`));
  return { certificates, seen: () => events.map(({ event }) => event) };
}

describe('files of a certificate that nobody touches again', () => {
  it('are taken when they will do, and once', async () => {
    const apply = vi.fn(async () => {});
    // By this clock, its time is to come.
    const early = () => vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 2 * DAY_MS });
    const { certificates, seen } = await replaced(apply, early);
    await expect.poll(seen, WAIT).toEqual(['certificate-refused']);
    vi.useRealTimers();
    await expect.poll(seen, WAIT).toEqual(['certificate-refused', 'certificate-read']);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await certificates.stop();
    expect(apply).toHaveBeenCalledOnce();
  });

  it('are given anew to fronts that were too late to take them', async () => {
    const apply = vi.fn(async () => {}).mockRejectedValueOnce(new Error('front 1 is late'));
    const { certificates, seen } = await replaced(apply);
    await expect.poll(seen, WAIT).toEqual(['certificate-refused', 'certificate-read']);
    await certificates.stop();
    expect(apply).toHaveBeenCalledTimes(2);
  });
});
