import { Worker } from 'node:worker_threads';
import { afterEach, expect, test, vi } from 'vitest';
import { anchorClock, clockFrom } from '../../src/base/clock.ts';

afterEach(() => vi.restoreAllMocks());

test('tells whole milliseconds since the epoch', () => {
  const before = Date.now();
  const now = clockFrom(anchorClock())();
  expect(Number.isSafeInteger(now)).toBe(true);
  expect(now).toBeGreaterThan(before - 5_000);
  expect(now).toBeLessThan(Date.now() + 5_000);
});

test('never goes back', () => {
  const clock = clockFrom(anchorClock());
  let last = 0;
  let backwards = 0;
  for (let i = 0; i < 200_000; i++) {
    const now = clock();
    if (now < last) backwards++;
    last = now;
  }
  expect(backwards).toBe(0);
});

test('does not follow the wall clock when that jumps', () => {
  const anchor = anchorClock();
  const clock = clockFrom(anchor);
  const before = clock();
  for (const jump of [-3_600_000, 3_600_000]) {
    vi.spyOn(Date, 'now').mockReturnValue(before + jump);
    const running = clock();
    const fresh = clockFrom(anchor)();
    for (const now of [running, fresh]) expect(now - before).toBeLessThan(60_000);
    expect(running).toBeGreaterThanOrEqual(before);
  }
});

/** Where `now` was told by one clock between `earlier` and `later` of another, by how much they contradict. */
function contradiction(earlier: number, now: number, later: number): number {
  return Math.max(0, earlier - now, now - later);
}

test('two clocks of one anchor agree, also when they start at different times', async () => {
  const anchor = anchorClock();
  const first = clockFrom(anchor);
  await new Promise((done) => setTimeout(done, 30));
  const second = clockFrom(anchor);
  for (let i = 0; i < 1000; i++) {
    expect(contradiction(first(), second(), first())).toBeLessThanOrEqual(1);
  }
});

test('agree although a thread is put aside between its two readings', () => {
  const anchor = anchorClock();
  const first = clockFrom(anchor);
  const real = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementationOnce(() => real() + 50);
  const second = clockFrom(anchor);
  expect(contradiction(first(), second(), first())).toBeLessThanOrEqual(1);
});

test('threads that are given one anchor tell one time', async () => {
  const anchor = anchorClock();
  const clock = clockFrom(anchor);
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { clockFrom } = await import(workerData.url);
    const clock = clockFrom(workerData.anchor);
    parentPort.on('message', () => parentPort.postMessage(clock()));
    parentPort.postMessage('ready');`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { anchor, url: new URL('../../src/base/clock.ts', import.meta.url).href },
  });
  const answer = () => new Promise((resolve) => worker.once('message', resolve));
  try {
    await answer();
    for (let i = 0; i < 20; i++) {
      const earlier = clock();
      const pending = answer();
      worker.postMessage('now');
      const theirs = (await pending) as number;
      expect(contradiction(earlier, theirs, clock())).toBeLessThanOrEqual(1);
    }
  } finally {
    await worker.terminate();
  }
});
