import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distributionOf, plotsOf } from '../../perf/stress/report/data.ts';
import { lone } from '../../perf/stress/report/draw.ts';
import { escaped, json, renderPage } from '../../perf/stress/report/page.ts';
import { launchChromium, whyNoChromium } from '../fixtures/chromium.ts';
import { stressResult } from './fixtures/stress-result.ts';

const HOSTILE = `</script><img src=x onerror="alert(1)">&'<!--`;

describe('what is drawn', () => {
  it('is rates a second, and nothing where nothing was answered', () => {
    const { rates, latencies } = plotsOf(stressResult());
    expect(rates.seconds.slice(0, 2)).toEqual([0.5, 1]);
    expect([rates.offered[1], rates.accepted[1], rates.refused[1]]).toEqual([20_000, 18_000, 2000]);
    expect(latencies.p99.slice(2, 5)).toEqual([2.5, null, 2.5]);
  });

  it.each([
    [
      [
        [1, 90],
        [2, 9],
        [3, 1],
      ],
      [
        [1, 1],
        [10, 1],
        [100, 2],
        [1000, 3],
        [10_000, 3],
      ],
    ],
    [
      [[5, 1]],
      [
        [1, 5],
        [10_000, 5],
      ],
    ],
    [
      [
        [0.1, 9_990],
        [7, 9],
        [8, 1],
      ],
      [
        [100, 0.1],
        [1000, 0.1],
        [10_000, 7],
      ],
    ],
  ] as [[number, number][], [number, number][]][])('of the latencies %j is %j', (histogram, expected) => {
    const { oneIn, ms } = distributionOf(histogram);
    const at = (each: number) => ms[oneIn.findIndex((one) => Math.abs(one / each - 1) < 1e-9)];
    expect(expected.map(([each]) => [each, at(each)])).toEqual(expected);
  });

  it('is no distribution of no latencies', () => {
    expect(distributionOf([])).toEqual({ oneIn: [], ms: [] });
  });

  it('is stages, threads and queues by period', () => {
    const { stages } = plotsOf(stressResult());
    expect(stages?.seconds.slice(0, 2)).toEqual([0.5, 1]);
    expect(stages?.threads.map(({ name }) => name)).toEqual([
      ...['front-0', 'shard-0', 'shard-1', 'shard-2', 'storage'],
      'storage, waiting for the disk',
    ]);
    expect(stages?.threads.at(-1)?.share[3]).toBeCloseTo(0.6, 6);
    expect(stages?.queueUs.map(({ worker, waiting }) => [worker, waiting[0]])).toEqual([
      [0, 0],
      [1, 12],
      [2, 24],
    ]);
    // Ten times as long in the middle.
    const { p99 } = stages?.queueUs[2] ?? expect.unreachable('there is no worker 2');
    expect((p99[22] as number) / (p99[0] as number)).toBeGreaterThan(5);
  });

  it.each([
    [
      [5, null, 0, null, 3, 4, null, 7],
      [0, 2, 7],
    ],
    [[5], [0]],
    [[5, 6], []],
    [[null, null], []],
  ])('of the line %j is a point at %j', (line, points) => {
    expect(lone(line)).toEqual(points);
  });

  it('is no stages of a server without stage clocks', () => {
    expect(plotsOf(stressResult({ stages: [] })).stages).toBeNull();
  });
});

describe('the page', () => {
  const page = renderPage([stressResult(), stressResult({ scenario: HOSTILE, stages: [] })]);

  it('is one file that refers to nothing', () => {
    const text = page.replaceAll(/"http:\/\/www\.w3\.org\/[^"]*"/g, '""');
    expect(text).not.toMatch(/https?:\/\/(?!github\.com\/leeoniya\/uPlot)/);
    expect(text).not.toMatch(/\b(src|srcset)\s*=\s*["'][^"']/);
    expect(text).not.toMatch(/<link|@import|url\(|<iframe|\bimport\(/);
    expect([...text.matchAll(/href="([^"]*)"/g)].map(([, to]) => to)).toEqual(['#run-0', '#run-1']);
    expect(text).toContain(`content="default-src 'none'`);
  });

  it('has names as text only', () => {
    expect(page).not.toContain('<img');
    // Of data, uPlot and the code that draws: nothing else ends a script.
    expect(page.match(/<\/script/g)).toHaveLength(3);
    expect(page).toContain(`<h2>${escaped(HOSTILE)}</h2>`);
    const [, data] = /id="data">(.*)<\/script>/.exec(page) ?? expect.unreachable('there is no data');
    expect(JSON.parse(data).map(({ scenario }: { scenario: string }) => scenario)).toEqual(['zipf', HOSTILE]);
  });

  it.each([
    ['figures', {}, /<dd>18,000<\/dd><dt>accepted a second<\/dt>/],
    ['the bottleneck', {}, /<b>Bottleneck:<\/b> front is the limit: 97 % busy/],
    ['right books', {}, /class="good">✔ The books are right: oversold 0, leaked 0, lost 0\./],
    [
      'wrong books',
      { leaked: 2, problems: ['2 <units>'] },
      /class="bad">✘ The books are wrong: oversold 0, leaked 2, lost 0\.<\/p><ul class="bad"><li>2 &#60;units&#62;/,
    ],
    [
      'what is not to be trusted',
      { trusted: false, steal: 12 },
      /class="bad">Not to be trusted: meanwhile the host took 12 %/,
    ],
    ['what was counted besides', { counts: { slowReadersClosed: 3 } }, /<td>3 slow readers closed<\/td>/],
    ['machine and steal', {}, /A CPU, 4 cores, linux 6, Node v22; steal 0\.1 %, others 0\.4 %/],
    ['the stages over the whole run', {}, /<tr><th>durable<\/th><td>wait<\/td>/],
    ['missing stages', { stages: [] }, /<p>The server told nothing of its stages\.<\/p>/],
  ])('tells %s', (_, changes, text) => {
    expect(renderPage([stressResult(changes)])).toMatch(text);
  });

  it.each(['<', '>', '&', '\u2028', '\u2029'])('has no %j inside its data', (char) => {
    const text = json({ name: `a${char}b` });
    expect(text).not.toContain(char);
    expect(JSON.parse(text)).toEqual({ name: `a${char}b` });
  });
});

describe('the report in a browser', () => {
  let browser: Browser;
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-report-'));
  beforeAll(async () => {
    if (whyNoChromium === undefined) browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(directory, { recursive: true });
  });

  it.for(['light', 'dark'] as const)(
    'draws every plot and asks for nothing: %s',
    async (colorScheme, { skip }) => {
      skip(whyNoChromium !== undefined, whyNoChromium);
      const file = join(directory, 'report.html');
      writeFileSync(file, renderPage([stressResult(), stressResult({ scenario: HOSTILE, stages: [] })]));
      const page = await browser.newPage({ colorScheme });
      page.setDefaultTimeout(120_000);
      const [said, requests]: [string[], string[]] = [[], []];
      page.on('console', (message) => said.push(message.text()));
      page.on('pageerror', (error) => said.push(String(error)));
      page.on('request', (request) => requests.push(request.url()));
      await page.goto(pathToFileURL(file).href);
      // In the page: whether enough pixels of each canvas have been drawn on, in several colours.
      const plots = await page.$$eval('[data-plot]', (places) =>
        places.map((place) => {
          const canvas = place.querySelector('canvas');
          const { run } = (place.closest('[data-run]') as HTMLElement).dataset;
          const name = `${run} ${(place as HTMLElement).dataset.plot}`;
          if (canvas === null) return [name, place.textContent];
          const image = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height);
          const pixels = new Uint32Array(image?.data.buffer ?? new ArrayBuffer(0));
          const drawn = pixels.filter((pixel) => pixel !== 0).length;
          // The heat map fills most of its canvas; the others are lines and areas on an empty one.
          const least = (place as HTMLElement).dataset.plot === 'heat' ? pixels.length / 2 : 500;
          return [name, drawn > least && new Set(pixels).size > 5];
        }),
      );
      const none = 'The server told nothing of its stages.';
      expect(plots).toEqual([
        ...['rates', 'latencies', 'distribution', 'stages', 'heat', 'threads'].map((name) => [
          `0 ${name}`,
          true,
        ]),
        ...['rates', 'latencies', 'distribution'].map((name) => [`1 ${name}`, true]),
        ...['stages', 'heat', 'threads'].map((name) => [`1 ${name}`, none]),
      ]);
      expect(said).toEqual([]);
      expect(requests).toEqual([pathToFileURL(file).href]);
      await page.close();
    },
  );
});
