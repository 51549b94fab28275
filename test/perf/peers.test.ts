import { execFile, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { whyNoRedis } from '../../perf/durable/redis-process.ts';
import { whyNoPostgres } from '../../perf/peers/postgres-process.ts';
import { expectSoldOut, type PeersReport } from '../../perf/peers/result.ts';
import { expectAllBack, type PeerBooks, type PeerServer } from '../../perf/peers/servers.ts';
import { SCENES, SIDES, type Side, type SideName } from '../../perf/peers/sides.ts';
import { parseProcess } from '../../perf/processes.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const run = promisify(execFile);
const BENCH = fileURLToPath(new URL('../../perf/peers/bench.ts', import.meta.url));
const LIMIT_MS = 600_000;
const NAMES = Object.keys(SIDES) as SideName[];

describe('the comparison with what people use today', () => {
  const inDirectory = tempDir();
  let report: PeersReport & { targets: { figure: number }[] };
  beforeAll(async () => {
    report = JSON.parse(await bench('--tiny', '--json'));
  }, LIMIT_MS);

  it.each(NAMES)('runs %s with its books right, or says why not', (name) => {
    const side = report.sides.find((each) => each.name === name);
    const why = whyMissing(name);
    if (why !== undefined) {
      expect(report.missing.find((each) => each.name === name)?.why).toBe(why);
      expect(side).toBeUndefined();
      return;
    }
    expect(side).toMatchObject({ oversold: 0, books: { held: 0, oversold: 0 } });
    expect(side?.soldOut.accepted).toBe(side?.soldOut.units);
    expect(side?.soldOut.refused).toBeGreaterThan(0);
    for (const scene of SCENES) {
      const shapes = Object.keys((SIDES[name] as Side).drives[scene]);
      const results = side?.results.filter((result) => result.scene === scene) ?? [];
      expect(results.map(({ shape }) => shape)).toEqual(shapes);
      for (const result of results) {
        // The measured moment is so short that on a busy machine it may pass without an answer.
        expect(result.accepted).toBeGreaterThan(0);
        expect(result).toMatchObject({ refused: 0, unanswered: 0 });
        expect(result.latencyMs.p99).toBeGreaterThanOrEqual(result.latencyMs.p50);
        expect(result).toHaveProperty('ratioToHoldfastMemory');
        expect(result).toHaveProperty('ratioToHoldfastSync');
      }
    }
  });

  it.skipIf(whyNoRedis() !== undefined)('says how it stands to Redis with Lua', () => {
    expect(report.targets).toHaveLength(6);
    for (const { figure } of report.targets) expect(figure).toBeGreaterThanOrEqual(0);
  });

  it('draws and tabulates what an earlier run printed, the same each time', async () => {
    const [from, svg, readme] = ['run.json', 'plot.svg', 'page.md'].map(inDirectory);
    writeFileSync(from, JSON.stringify(report));
    writeFileSync(
      readme,
      'before\n\n<!-- peers: begin. -->\n\nof long ago\n\n<!-- peers: end -->\n\nafter\n',
    );
    const text = await bench('--from', from, '--svg', svg, '--readme', readme);
    const page = readFileSync(readme, 'utf8');
    await bench('--from', from, '--readme', readme);
    expect(readFileSync(readme, 'utf8')).toBe(page);
    expect(page).toMatch(/^before\n\n<!-- peers: begin. -->\n\n[\s\S]*\n\n<!-- peers: end -->\n\nafter\n$/);
    expect(page).not.toContain('of long ago');
    const plot = readFileSync(svg, 'utf8');
    const results = report.sides.flatMap((side) => side.results);
    expect(plot.match(/<rect class="(hot|spread)" x="300"/g)).toHaveLength(results.length);
    for (const { title } of report.sides)
      for (const shown of [text, page, plot]) expect(shown).toContain(title);
    for (const { acceptedPerSecond } of results) {
      const figure = acceptedPerSecond.toLocaleString('en-US');
      for (const shown of [text, page, plot]) expect(shown).toContain(figure);
    }
  });
});

describe('bench:peers', () => {
  it.each([
    [['--only', 'redisLua,nothing'], /The sides are holdfastMemory, /],
    [['--seconds', '0'], /number above 0/],
    [['--from', BENCH], /JSON/],
  ])('refuses %j', async (args, message) => {
    await expect(bench(...args)).rejects.toMatchObject({ stderr: expect.stringMatching(message) });
  });

  it('ends every server that it started when it is interrupted', { timeout: LIMIT_MS }, async () => {
    const child = spawn(process.execPath, [BENCH, '--tiny'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const selling = new Promise<void>((resolve) => {
      child.stderr.on('data', (chunk) => String(chunk).includes('selling out') && resolve());
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    await Promise.race([selling, ended]);
    const started = descendants(child.pid ?? 0);
    expect(started.length).toBeGreaterThanOrEqual(3);
    child.kill('SIGINT');
    expect(await ended).toBe(1);
    // PostgreSQL's own processes take a moment to hear of it.
    for (const giveUpAt = Date.now() + 100_000; started.some(lives) && Date.now() < giveUpAt; )
      await sleep(50);
    expect(started.filter(lives)).toEqual([]);
  });
});

describe('the books of a side', () => {
  const stocked = { skus: 2, scarceSkus: 1, fewUnits: 100 };
  const right: PeerBooks = { available: 2_000_000_100, held: 0, oversold: 0 };

  it.each([
    ['a unit is missing', { available: right.available - 1 }],
    ['a unit is there twice', { available: right.available + 1 }],
    ['a hold never ends', { available: right.available - 1, held: 1 }],
    ['a SKU was oversold', { oversold: 1 }],
  ])('fail when %s', async (_name, wrong) => {
    await expect(expectAllBack('it', serverWith({ ...right, ...wrong }), stocked, 60)).rejects.toThrow(
      'The books of it are',
    );
  });

  it('are right when everything is back', async () => {
    await expect(expectAllBack('it', serverWith(right), stocked, 60)).resolves.toEqual(right);
  });

  it.each([
    ['more were accepted than there were', { units: 100, accepted: 101, refused: 5 }],
    ['fewer were', { units: 100, accepted: 99, refused: 5 }],
    ['nobody was refused', { units: 100, accepted: 100, refused: 0 }],
  ])('fail of a SKU that was to sell out when %s', (_name, sold) => {
    expect(() => expectSoldOut('it', sold)).toThrow(
      `it accepted ${sold.accepted} holds of a SKU with 100 units`,
    );
  });
});

async function bench(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [BENCH, ...args], { timeout: LIMIT_MS });
  return stdout;
}

function whyMissing(name: SideName): string | undefined {
  const { server }: Side = SIDES[name];
  if (server === 'postgres') return whyNoPostgres();
  return server.startsWith('redis') ? whyNoRedis() : undefined;
}

function serverWith(books: PeerBooks): PeerServer {
  const failure = new Promise<never>(() => {});
  return { port: 0, pid: 0, failure, books: async () => books, stop: async () => {} };
}

/** Process ids of all that a process has started, and of what these have. */
function descendants(root: number): number[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => statOf(pid) ?? []);
  const found = new Set([root]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return [...found].filter((pid) => pid !== root);
}

function statOf(pid: string) {
  try {
    return parseProcess(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return null;
  }
}

function lives(pid: number): boolean {
  try {
    // One that has ended but was not waited for yet is gone as well.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
