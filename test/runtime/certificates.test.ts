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

describe('files of a certificate that were refused', () => {
  it('are taken when they will do, though nobody touches them again, and once', async () => {
    for (const name of ['live', 'next']) makeCertificate(file(name), 1);
    const events: LogEvent[] = [];
    let applied = 0;
    const tls = { cert: file('live.crt'), key: file('live.key'), untilMs: 0 };
    const certificates = await Certificates.watch({
      tls,
      lookMs: 20,
      log: (event) => events.push(event),
      apply: async () => {
        applied += 1;
      },
    });
    const seen = () => events.map(({ event }) => event);
    // By this clock, its time is to come.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 2 * DAY_MS });
    for (const end of ['crt', 'key']) copyFileSync(file(`next.${end}`), file(`live.${end}`));
    await expect.poll(seen, WAIT).toEqual(['certificate-refused']);
    vi.useRealTimers();
    await expect.poll(seen, WAIT).toEqual(['certificate-refused', 'certificate-read']);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await certificates.stop();
    expect(applied).toBe(1);
  });
});
