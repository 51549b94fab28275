import { describe, expect, it } from 'vitest';
import { LiveView, liveLines, plainLine } from '../../perf/stress/live.ts';
import type { LiveState } from '../../perf/stress/run.ts';
import { stageReport } from './fixtures/stress-result.ts';

const latencyMs = { p50: 0.4, p90: 0.9, p99: 2.5, p999: 9.1, p9999: 30, max: 1041 };
const point = { atMs: 6000, offered: 10_000, accepted: 9_000, refused: 750, waiting: 250, latencyMs };

function live(changes: Partial<LiveState> = {}): LiveState {
  const stages = [stageReport(5500, 3), stageReport(6000, 3)] as const;
  return { scenario: 'zipf', elapsedMs: 6000, lengthMs: 20_000, periodMs: 500, point, stages, ...changes };
}

describe('the live view', () => {
  it('tells rates, percentiles, queues, threads and the time that is left', () => {
    expect(liveLines(live(), 120)).toEqual([
      'zipf  ━━━━━━──────────────  6 s of 20 s, 14 s left',
      'rate      offered 20,000/s   accepted 18,000/s   refused 1,500/s   waiting 250',
      'latency   p50 0.40 ms  p99 2.50 ms  p99.9 9.10 ms  max 1,041 ms  (last 0.5 s)',
      'worker 0                       0 waiting, p99 0.02 ms, ring 10 % full',
      'worker 1  ██████████           12 waiting, p99 0.03 ms, ring 10 % full',
      'worker 2  ████████████████████ 24 waiting, p99 0.04 ms, ring 10 % full',
      'threads   front-0 97 %  shard-0 50 %  shard-1 55 %  shard-2 60 %  storage 20 % + 60 % disk',
      'limit     front is the limit: 97 % busy',
    ]);
  });

  const many = [stageReport(500, 64), stageReport(1000, 64)] as const;
  it.each([
    ['of a server without stage clocks', { stages: undefined }, [3, 'zipf']],
    [
      'of many workers, of which it shows the first',
      { stages: many },
      [14, 'and 56 more workers with up to 756 waiting'],
    ],
    ['without an answer', { point: { ...point, latencyMs: null } }, [8, 'latency   no answer  (last 0.5 s)']],
    ['at the end', { elapsedMs: 20_250 }, [8, 'waiting for the last answers']],
    ['of a short run', { elapsedMs: 100, lengthMs: 400 }, [8, '0.1 s of 0.4 s, 0.3 s left']],
  ] as [string, Partial<LiveState>, [number, string]][])('%s', (_, changes, [count, text]) => {
    const lines = liveLines(live(changes), 200);
    expect(lines).toHaveLength(count);
    expect(lines.join('\n')).toContain(text);
  });

  it.each([80, 40, 10, 2])('fits into %d columns', (columns) => {
    for (const line of liveLines(live({ stages: many }), columns)) expect(line.length).toBeLessThan(columns);
  });

  it('is one line where it is no terminal', () => {
    expect(plainLine(live())).toBe(
      'zipf 6 s of 20 s: offered 20,000/s, accepted 18,000/s, refused 1,500/s, waiting 250; p50 0.40 ms, p99 2.50 ms, p99.9 9.10 ms, max 1,041 ms; waiting for workers 0 12 24; front-0 97 %  shard-0 50 %  shard-1 55 %  shard-2 60 %  storage 20 % + 60 % disk',
    );
  });
});

describe('what is written', () => {
  function written(isTTY: boolean, times: readonly number[]) {
    const texts: string[] = [];
    let nowMs = 0;
    const out = { isTTY, columns: 80, write: (text: string) => texts.push(text) > 0 };
    const view = new LiveView(out as unknown as NodeJS.WriteStream, () => nowMs);
    for (const time of times) {
      nowMs = time;
      view.show(live());
    }
    return { texts, view };
  }

  it('to a terminal is drawn over twice a second, and removed with the cursor back', () => {
    const before = process.listenerCount('exit');
    const { texts, view } = written(true, [0, 100, 499, 500, 1000]);
    expect(texts).toHaveLength(3);
    expect(texts[0].startsWith('\x1b[?25l\x1b[2Kzipf')).toBe(true);
    expect(texts[1].startsWith('\x1b[?25l\x1b[8A\r\x1b[2Kzipf')).toBe(true);
    expect(process.listenerCount('exit')).toBe(before + 1);
    view.clear();
    expect(texts[3]).toBe('\x1b[8A\r\x1b[J\x1b[?25h');
    expect(process.listenerCount('exit')).toBe(before);
    view.clear();
    expect(texts).toHaveLength(4);
  });

  it('elsewhere is a line every five seconds, without codes for a terminal', () => {
    const { texts, view } = written(false, [0, 500, 4999, 5000, 9000]);
    view.clear();
    expect(texts).toEqual([`${plainLine(live())}\n`, `${plainLine(live())}\n`]);
  });
});
